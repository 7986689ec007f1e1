// Shared by every package: tests run on the TypeScript sources of the whole workspace, so that a unit
// test needs no build of the packages below it.
const path = require('node:path');

module.exports = (packageDir, overrides = {}) => ({
  rootDir: packageDir,
  displayName: path.basename(packageDir),
  testEnvironment: 'node',
  setupFilesAfterEnv: [path.join(__dirname, 'jest.retry.js')],
  testMatch: ['<rootDir>/src/**/*.test.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { configFile: path.join(__dirname, '.swcrc') }] },
  moduleNameMapper: { '^@crts/([a-z-]+)$': path.join(__dirname, 'packages/$1/src/index.ts') },
  ...overrides,
});
