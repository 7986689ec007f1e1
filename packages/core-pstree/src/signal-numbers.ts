/** Of x86-64, and most others: man 7 signal. */
export const SIGKILL = 9;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGNAL_MAX = 64;
