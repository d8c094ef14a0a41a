// torture.h: chosen allocations fail. Only calls from our own code are counted, not those of
// libraries.
#ifndef PX_TORTURE_H
#define PX_TORTURE_H

// torture_fail_at makes the n-th allocation from now on fail (1: the next), and only that; 0: none.
void torture_fail_at(long n);
// torture_failed tells if it came to that.
int torture_failed(void);

#endif
