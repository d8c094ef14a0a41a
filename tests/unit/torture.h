// torture.h: chosen allocations and system calls fail. Only calls from our own code are counted,
// not those of libraries.
#ifndef PX_TORTURE_H
#define PX_TORTURE_H

// torture_fail_at makes the n-th allocation from now on fail (1: the next), and only that; 0: none.
void torture_fail_at(long n);
// torture_call_fail_at makes the n-th system call from now on fail with errnum, and only that; 0:
// none.
void torture_call_fail_at(long n, int errnum);
// torture_failed and torture_call_failed tell if it came to that.
int torture_failed(void);
int torture_call_failed(void);

#endif
