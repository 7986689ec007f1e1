const preset = require('../jest.preset.js');

module.exports = preset(__dirname, {
  testMatch: ['<rootDir>/**/*.e2e.test.ts'],
  testEnvironment: '<rootDir>/harness/environment.js',
  setupFilesAfterEnv: ['<rootDir>/../jest.retry.js', '<rootDir>/harness/setup.ts'],
  // A machine under load takes its time; no test asserts on time.
  testTimeout: 400_000,
  // Tests that leave something behind are found by the harness itself; a leaked handle of jest's own is not hidden.
  forceExit: false,
});
