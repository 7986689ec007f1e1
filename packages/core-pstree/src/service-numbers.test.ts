import { CrtsError } from '@crts/plugin-api';
import { serviceNumbers } from './service-numbers';

const numbers = (...taken: number[]) => ({ numbers: taken, scratchTop: -1, isTree: false, sharers: 1 });
const range = (from: number, end: number) => Array.from({ length: end - from }, (_, index) => from + index);

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

test('above all numbers of all tasks, and above those that are used for a moment', () => {
  expect(serviceNumbers(numbers(), 1024)).toBe(3);
  expect(serviceNumbers(numbers(0, 500, 7, 7), 1024)).toBe(501);
  expect(serviceNumbers({ ...numbers(0, 5), scratchTop: 40 }, 1024)).toBe(41);
});

test('where the limit leaves no room above, in the first gap that is wide enough', () => {
  expect(serviceNumbers(numbers(0, 5, 13, 1023), 1024)).toBe(6);
  expect(serviceNumbers(numbers(0, 5, 12, 1023), 1024)).toBe(13);
  expect(serviceNumbers({ ...numbers(0, 5, 13, 1023), scratchTop: 20 }, 1024)).toBe(21);
  expect(serviceNumbers(numbers(1016), 1024)).toBe(1017);
  expect(serviceNumbers(numbers(1017), 1024)).toBe(3);
});

test('a tree needs room for all that one message hands over', () => {
  const tree = (...taken: number[]) => serviceNumbers({ ...numbers(...taken), isTree: true }, 1024);
  expect(tree(100, 300, 1023)).toBe(301);
  expect(tree(100, 300)).toBe(301);
});

test('tasks that share a table have numbers each', () => {
  expect(serviceNumbers({ ...numbers(0, 5, 16, 1023), sharers: 2 }, 1024)).toBe(17);
  expect(serviceNumbers({ ...numbers(0, 5, 17, 1023), sharers: 2 }, 1024)).toBe(6);
});

test('a full table, and numbers that crts itself may not have', () => {
  expect(failure(() => serviceNumbers(numbers(...range(0, 1018), 1023), 1024))).toMatchObject({
    code: 'CRTS_FD_NUMBERS',
  });
  expect(failure(() => serviceNumbers(numbers(1024), 1024))).toMatchObject({ code: 'CRTS_FD_NUMBERS' });
});
