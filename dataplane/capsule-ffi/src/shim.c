/* Inline functions of DPDK as functions that can be linked to, and proof that `rte_mbuf` is laid
 * out as `src/mbuf.rs` says. */

#include "shim.h"

#include <stddef.h>

#define AT(field, offset) \
    _Static_assert(offsetof(struct rte_mbuf, field) == (offset), "rte_mbuf." #field " has moved")

AT(buf_addr, 0);
AT(data_off, 16);
AT(refcnt, 18);
AT(nb_segs, 20);
AT(port, 22);
AT(ol_flags, 24);
AT(packet_type, 32);
AT(pkt_len, 36);
AT(data_len, 40);
AT(vlan_tci, 42);
AT(hash, 44);
AT(vlan_tci_outer, 52);
AT(buf_len, 54);
AT(pool, 56);
AT(tx_offload, 72);
_Static_assert(sizeof(struct rte_mbuf) == 128, "rte_mbuf has another size");

int _rte_errno(void)
{
    return rte_errno;
}

struct rte_mbuf *_rte_pktmbuf_alloc(struct rte_mempool *pool)
{
    return rte_pktmbuf_alloc(pool);
}

void _rte_pktmbuf_free(struct rte_mbuf *mbuf)
{
    rte_pktmbuf_free(mbuf);
}

int _rte_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
    return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void _rte_mempool_put_bulk(struct rte_mempool *pool, void *const *objects, unsigned int count)
{
    rte_mempool_put_bulk(pool, objects, count);
}

uint16_t _rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
    return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t _rte_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
    return rte_eth_tx_burst(port, queue, mbufs, count);
}

struct rte_mbuf *_rte_pktmbuf_next(const struct rte_mbuf *mbuf)
{
    return mbuf->next;
}
