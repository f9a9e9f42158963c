/* What bindgen reads: the headers of DPDK, the inline functions of theirs that are called from
 * Rust as functions of their own, and constants by the names that DPDK had in 19.11. */

#ifndef CAPSULE_FFI_SHIM_H
#define CAPSULE_FFI_SHIM_H

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_version.h>

int _rte_errno(void);
struct rte_mbuf *_rte_pktmbuf_alloc(struct rte_mempool *pool);
void _rte_pktmbuf_free(struct rte_mbuf *mbuf);
int _rte_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void _rte_mempool_put_bulk(struct rte_mempool *pool, void *const *objects, unsigned int count);
uint16_t _rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t _rte_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

/* The next segment of a packet; where the field lies depends on how DPDK was built. */
struct rte_mbuf *_rte_pktmbuf_next(const struct rte_mbuf *mbuf);

int numa_node_of_cpu(int cpu);

/* In 21.11 these are macros that warn; later they are gone. */
#undef ETH_RSS_IP
#undef ETH_RSS_TCP
#undef ETH_RSS_UDP
#undef ETH_RSS_SCTP
#undef DEV_TX_OFFLOAD_MBUF_FAST_FREE
static const uint64_t ETH_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t ETH_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t ETH_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint64_t ETH_RSS_SCTP = RTE_ETH_RSS_SCTP;
static const uint64_t DEV_TX_OFFLOAD_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;

/* Macros that bindgen cannot evaluate, by names of their own. */
#define CONSTANT(name) static const uint64_t CONST_##name = name
CONSTANT(RTE_ETH_RSS_IPV4);
CONSTANT(RTE_ETH_RSS_IPV6);
CONSTANT(RTE_ETH_RSS_NONFRAG_IPV4_TCP);
CONSTANT(RTE_ETH_RSS_NONFRAG_IPV6_TCP);
CONSTANT(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
CONSTANT(RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
CONSTANT(RTE_ETH_RX_OFFLOAD_SCATTER);
CONSTANT(RTE_ETH_RX_OFFLOAD_RSS_HASH);
CONSTANT(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
CONSTANT(RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
CONSTANT(RTE_ETH_TX_OFFLOAD_TCP_TSO);
CONSTANT(RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
CONSTANT(RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
CONSTANT(RTE_MBUF_F_RX_L4_CKSUM_MASK);
CONSTANT(RTE_MBUF_F_RX_L4_CKSUM_GOOD);
CONSTANT(RTE_MBUF_F_RX_L4_CKSUM_BAD);
CONSTANT(RTE_MBUF_F_RX_IP_CKSUM_MASK);
CONSTANT(RTE_MBUF_F_RX_IP_CKSUM_BAD);
CONSTANT(RTE_MBUF_F_RX_VLAN_STRIPPED);
CONSTANT(RTE_MBUF_F_TX_IPV4);
CONSTANT(RTE_MBUF_F_TX_IPV6);
CONSTANT(RTE_MBUF_F_TX_IP_CKSUM);
CONSTANT(RTE_MBUF_F_TX_TCP_CKSUM);
CONSTANT(RTE_MBUF_F_TX_TCP_SEG);
#undef CONSTANT

#endif
