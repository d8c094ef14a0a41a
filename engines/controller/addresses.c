// addresses.c: by which addresses this host may be reached: those of its interfaces. Whoever
// connects tries them all, so none is chosen here.
#include "gate.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_useful(const struct ifaddrs *entry, bool loopback)
{
    if (entry->ifa_addr == NULL || (entry->ifa_flags & IFF_UP) == 0 ||
        ((entry->ifa_flags & IFF_LOOPBACK) != 0) != loopback) {
        return false;
    }
    if (entry->ifa_addr->sa_family == AF_INET) {
        return true;
    }
    if (entry->ifa_addr->sa_family != AF_INET6) {
        return false;
    }
    struct sockaddr_in6 address;
    memcpy(&address, entry->ifa_addr, sizeof(address));
    return !IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr); // means nothing without its interface
}

static void add(const struct ifaddrs *entry, char *list, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const void *number = &v4.sin_addr;
    if (entry->ifa_addr->sa_family == AF_INET) {
        memcpy(&v4, entry->ifa_addr, sizeof(v4));
    } else {
        memcpy(&v6, entry->ifa_addr, sizeof(v6));
        number = &v6.sin6_addr;
    }
    size_t length = strlen(list);
    if (inet_ntop(entry->ifa_addr->sa_family, number, text, sizeof(text)) != NULL &&
        length + strlen(text) + 2 <= size) {
        (void)snprintf(list + length, size - length, "%s%s", length > 0 ? " " : "", text);
    }
}

void px_gate_addresses(const char *ip, char *ret_list, size_t size)
{
    struct ifaddrs *all = NULL;
    ret_list[0] = '\0';
    if (strcmp(ip, "*") != 0) {
        (void)snprintf(ret_list, size, "%s", ip);
        return;
    }
    if (getifaddrs(&all) != 0) {
        return;
    }
    for (int loopback = 0; loopback < 2 && ret_list[0] == '\0'; loopback++) {
        for (const struct ifaddrs *entry = all; entry != NULL; entry = entry->ifa_next) {
            if (is_useful(entry, loopback == 1)) {
                add(entry, ret_list, size);
            }
        }
    }
    freeifaddrs(all);
}
