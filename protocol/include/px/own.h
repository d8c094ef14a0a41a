// own.h: who frees what, said in code. PX_AUTO(type) frees on every path out of the scope by
// calling type##_free_auto, which PX_DEFINE_AUTO makes from a destructor that takes NULL.
#ifndef PX_OWN_H
#define PX_OWN_H

#include <stddef.h>
#include <stdlib.h>

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are names of types.
#define PX_DEFINE_AUTO(type, destroy)                                                              \
    static inline void type##_free_auto(type **owner)                                              \
    {                                                                                              \
        if (*owner != NULL) {                                                                      \
            destroy(*owner);                                                                       \
        }                                                                                          \
    }

// PX_AUTO(px_msg) m = NULL; frees m at the end of the scope.
#define PX_AUTO(type) [[gnu::cleanup(type##_free_auto)]] type *
// NOLINTEND(bugprone-macro-parentheses)

// PX_STEAL(m) gives the pointer away and leaves NULL behind.
#define PX_STEAL(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) px_stolen = (pointer);                                                 \
        (pointer) = NULL;                                                                          \
        px_stolen;                                                                                 \
    })

// PX_CONTAINER is the struct that holds a member.
#define PX_CONTAINER(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void px_free_auto(void *owner)
{
    free(*(void **)owner);
}
// PX_AUTO_FREE char *text = …; is freed with free().
#define PX_AUTO_FREE [[gnu::cleanup(px_free_auto)]]

#endif
