// Tests on the real kernel of a shared machine: with CRTS_RETRIES one that fails is run again, and its first failure is printed.
jest.retryTimes(Number(process.env.CRTS_RETRIES ?? 0), { logErrorsBeforeRetry: true });
