// All unit tests of the workspace; `npx jest -c packages/NAME/jest.config.js` runs one package's.
module.exports = { projects: ['<rootDir>/packages/*/jest.config.js', '<rootDir>/tools/tidy/jest.config.js'] };
