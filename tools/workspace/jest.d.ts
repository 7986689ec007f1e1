// @types/jest 30.0.0 lacks what expect 29.4 brought (https://jestjs.io/docs/expect#expectaddequalitytesterstesters); to go with the
// version that has it.
declare namespace jest {
  interface Expect {
    addEqualityTesters(testers: readonly ((a: unknown, b: unknown) => boolean | undefined)[]): void;
  }
}
