// Tells the tests' hooks whether the test failed: jest itself does not, and a failed test keeps its directory.
const { TestEnvironment } = require('jest-environment-node');

module.exports = class extends TestEnvironment {
  async handleTestEvent(event) {
    if (event.name === 'test_start') this.global.crtsTestFailed = false;
    // A failure of a hook counts as well as one of the test.
    if (event.name === 'test_fn_failure' || event.name === 'hook_failure') this.global.crtsTestFailed = true;
  }
};
