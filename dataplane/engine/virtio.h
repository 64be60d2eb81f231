/* virtio.h: the spec's structures, flags and feature bits (VIRTIO 1.3), little-endian by VERSION_1. */
#ifndef RINGSCOPE_VIRTIO_H
#define RINGSCOPE_VIRTIO_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ringscope's engine runs on little-endian machines only"
#endif

#define QUEUE_SIZE_MAX 32768u

/* Split virtqueue (2.7). A descriptor is addr and one word: len | flags << 32 | next << 48. */
struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
struct virtq_used_elem {
    uint32_t id;
    uint32_t len;
};
/* Packed virtqueue (2.8): addr and one word: len | id << 32 | flags << 48. */
struct pvirtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t id;
    uint16_t flags;
};
struct pvirtq_event {
    uint16_t off_wrap;
    uint16_t flags;
};
struct virtio_net_hdr {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};
_Static_assert(sizeof(struct virtq_desc) == 16 && offsetof(struct virtq_desc, flags) == 12, "2.7.5");
_Static_assert(sizeof(struct virtq_used_elem) == 8, "2.7.8");
_Static_assert(sizeof(struct pvirtq_desc) == 16 && offsetof(struct pvirtq_desc, id) == 12, "2.8.13");
_Static_assert(sizeof(struct pvirtq_event) == 4, "2.8.14");
_Static_assert(sizeof(struct virtio_net_hdr) == 12 && offsetof(struct virtio_net_hdr, num_buffers) == 10,
               "5.1.6");

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };

enum {
    F_NET_CSUM = 0,
    F_NET_GUEST_CSUM = 1,
    F_NET_MTU = 3,
    F_NET_MAC = 5,
    F_NET_GUEST_TSO4 = 7,
    F_NET_GUEST_TSO6 = 8,
    F_NET_GUEST_ECN = 9,
    F_NET_GUEST_UFO = 10,
    F_NET_HOST_TSO4 = 11,
    F_NET_HOST_TSO6 = 12,
    F_NET_HOST_ECN = 13,
    F_NET_HOST_UFO = 14,
    F_NET_MRG_RXBUF = 15,
    F_NET_STATUS = 16,
    F_NET_CTRL_VQ = 17,
    F_NET_CTRL_RX = 18,
    F_NET_CTRL_VLAN = 19,
    F_NET_CTRL_RX_EXTRA = 20,
    F_NET_GUEST_ANNOUNCE = 21,
    F_NET_MQ = 22,
    F_NET_CTRL_MAC_ADDR = 23,
    F_LOG_ALL = 26, /* of vhost */
    F_INDIRECT_DESC = 28,
    F_EVENT_IDX = 29,
    F_VERSION_1 = 32,
    F_RING_PACKED = 34,
    F_IN_ORDER = 35,
    F_RING_RESET = 40,
};
static inline int has_feature(uint64_t features, unsigned bit) { return (int)(features >> bit & 1); }

enum {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_NEEDS_RESET = 64,
    STATUS_FAILED = 128,
};

enum { NET_HDR_NEEDS_CSUM = 1, NET_HDR_DATA_VALID = 2, NET_HDR_RSC_INFO = 4 };
enum {
    NET_GSO_NONE = 0,
    NET_GSO_TCPV4 = 1,
    NET_GSO_UDP = 3,
    NET_GSO_TCPV6 = 4,
    NET_GSO_UDP_L4 = 5,
    NET_GSO_ECN = 0x80
};
#define NET_HEADER_LENGTH 12u    /* every VERSION_1 session without HASH_REPORT (5.1.6) */
#define NET_FRAME_MIN     14u    /* an Ethernet header */
#define NET_FRAME_MAX     65589u /* largest frame with offloads, Ethernet header and all (5.1.6.3.1) */

enum { NET_S_LINK_UP = 1, NET_S_ANNOUNCE = 2 };
enum { CTRL_RX = 0, CTRL_MAC = 1, CTRL_VLAN = 2, CTRL_ANNOUNCE = 3, CTRL_MQ = 4 };
enum { CTRL_OK = 0, CTRL_ERR = 1 };

/* Whether an event value lies in (old, new]: the one rule of 2.7.7.2 and 2.8.10. */
static inline int need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx) {
    return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

#endif
