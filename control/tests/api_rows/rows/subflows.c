/*
 * The subflows: TCP_MP_SUBFLOWS, TCP_MP_CONNID, TCP_MP_ADD_SUBFLOW, TCP_MP_REMOVE_SUBFLOW,
 * TCP_MP_PRIORITY, and RFC 6897's TCP_MULTIPATH_SUBFLOWS and TCP_MULTIPATH_CONNID.
 */
#include "rows.h"

static int remove_subflow(int fd, uint32_t id)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_MP_REMOVE_SUBFLOW, &id, sizeof id);
}

static int rank(int fd, uint32_t id, uint32_t priority)
{
	struct tcp_mp_priority to = {id, priority};
	return setsockopt(fd, IPPROTO_TCP, TCP_MP_PRIORITY, &to, sizeof to);
}

/* A connection on which the program alone opens subflows. */
static int with_one(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(manual(fd) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	wait_for_subflows(fd, 1);
	return fd;
}

static int is_at(const struct sockaddr_storage *of, const char *address)
{
	struct sockaddr_in wanted = at(address, 0), found;
	memcpy(&found, of, sizeof found);
	return found.sin_family == AF_INET && found.sin_addr.s_addr == wanted.sin_addr.s_addr;
}

static void subflows(void)
{
	struct listed now;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MP_PROFILE, 1) == 0);
	EXPECT_ERROR(list(fd, &now), ENOTCONN);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &now, sizeof now), EINVAL);
	close(fd);
	EXPECT_ERROR(list(fd, &now), EBADF);

	fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	echo(fd, 300000);
	EXPECT(list(fd, &now) == 0);
	EXPECT(now.header.header_size == sizeof now.header);
	EXPECT(now.header.entry_size == sizeof now.entries[0]);
	EXPECT(now.header.total == 2 && now.header.copied == 2);
	const struct tcp_mp_subflow *first = &now.entries[0], *second = &now.entries[1];
	EXPECT(first->flags == (TCP_MP_SUBFLOW_INITIAL | TCP_MP_SUBFLOW_JOINED));
	EXPECT(second->flags == TCP_MP_SUBFLOW_JOINED);
	EXPECT(first->state == TCP_ESTABLISHED && second->state == TCP_ESTABLISHED);
	EXPECT(is_at(&first->local, OUR_FIRST) && is_at(&first->remote, PEER_FIRST));
	EXPECT(is_at(&second->local, OUR_SECOND) && is_at(&second->remote, PEER_SECOND));
	EXPECT(first->srtt_us > 0 && first->cwnd > 0);
	EXPECT(first->bytes_sent + second->bytes_sent >= 300000);
	EXPECT(first->bytes_received + second->bytes_received >= 300000);
	for (int sent = 0; sent < 2; sent++) {
		unsigned shares = sent ? first->share_tx + second->share_tx : first->share_rx + second->share_rx;
		EXPECT(shares == 10000 || shares == 9999);
	}

	/* Too little room: as many as fit, and how many there are. */
	socklen_t length = sizeof now.header + sizeof now.entries[0] + 10;
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &now, &length) == 0);
	EXPECT(length == sizeof now.header + sizeof now.entries[0]);
	EXPECT(now.header.total == 2 && now.header.copied == 1);
	length = sizeof now.header;
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &now, &length) == 0);
	EXPECT(now.header.total == 2 && now.header.copied == 0);
	length = sizeof now.header - 1;
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &now, &length), EINVAL);
	close(fd);

	/* Regular TCP is one subflow. */
	fd = connected(PLAIN_PORT);
	EXPECT(list(fd, &now) == 0 && now.header.total == 1);
	close(fd);
}

static void rfc_subflows(void)
{
	struct mptcp_subflow_addrs pairs[8];
	socklen_t length = sizeof pairs;
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MULTIPATH_SUBFLOWS, pairs, &length) == 0);
	EXPECT(length == 2 * sizeof *pairs);
	EXPECT(pairs[1].sin_local.sin_addr.s_addr == at(OUR_SECOND, 0).sin_addr.s_addr);
	EXPECT(pairs[1].sin_remote.sin_addr.s_addr == at(PEER_SECOND, 0).sin_addr.s_addr);
	length = sizeof *pairs + 1;
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MULTIPATH_SUBFLOWS, pairs, &length) == 0);
	EXPECT(length == sizeof *pairs);
	length = sizeof *pairs - 1;
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MULTIPATH_SUBFLOWS, pairs, &length), EINVAL);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MULTIPATH_SUBFLOWS, pairs, sizeof *pairs), EINVAL);
	close(fd);
}

static void connection_id(void)
{
	uint32_t id, same;
	socklen_t length = sizeof id;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MP_PROFILE, 1) == 0);
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_CONNID, &id, &length), ENOTCONN);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_CONNID, &id, sizeof id), EINVAL);
	close(fd);
	int first = connected(MULTIPATH_PORT), second = connected(MULTIPATH_PORT);
	struct flow flow;
	start_flow(&flow, first);
	EXPECT(getsockopt(first, IPPROTO_TCP, TCP_MP_CONNID, &id, &length) == 0 && length == sizeof id);
	EXPECT(getsockopt(first, IPPROTO_TCP, TCP_MULTIPATH_CONNID, &same, &length) == 0 && id == same);
	EXPECT_ERROR(setsockopt(first, IPPROTO_TCP, TCP_MP_CONNID, &id, sizeof id), EINVAL);
	end_flow(&flow);
	EXPECT(getsockopt(second, IPPROTO_TCP, TCP_MP_CONNID, &same, &length) == 0 && id != same);
	length = sizeof id - 1;
	EXPECT_ERROR(getsockopt(first, IPPROTO_TCP, TCP_MP_CONNID, &id, &length), EINVAL);
	close(first);
	close(second);
	EXPECT_ERROR(getsockopt(first, IPPROTO_TCP, TCP_MP_CONNID, &id, &length), EBADF);
}

static void add_and_remove(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(manual(fd) == 0);
	EXPECT_ERROR(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0), ENOTCONN);
	EXPECT_ERROR(remove_subflow(fd, 0), ENOTCONN);
	close(fd);
	EXPECT_ERROR(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0), EBADF);

	fd = with_one();
	struct tcp_mp_add_subflow new = {.flags = 0};
	uint32_t id = 0;
	socklen_t length = sizeof new;
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADD_SUBFLOW, &new, sizeof new - 1), EINVAL);
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_ADD_SUBFLOW, &new, &length), EINVAL);
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_REMOVE_SUBFLOW, &id, &length), EINVAL);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_REMOVE_SUBFLOW, &id, 2), EINVAL);
	EXPECT_ERROR(add_subflow(fd, OUR_SECOND, PEER_SECOND, 2), EINVAL);
	EXPECT_ERROR(add_subflow(fd, "10.9.9.9", PEER_SECOND, 0), EADDRNOTAVAIL);
	EXPECT_ERROR(remove_subflow(fd, 0), EBUSY);
	EXPECT_ERROR(remove_subflow(fd, 77), ENOENT);

	struct flow flow;
	start_flow(&flow, fd);
	EXPECT(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0) == 0);
	wait_for_subflows(fd, 2);
	flows_on(&flow);
	struct listed now;
	EXPECT(list(fd, &now) == 0);
	EXPECT(remove_subflow(fd, now.entries[1].id) == 0);
	wait_for_subflows(fd, 1);
	end_flow(&flow);
	/* Only the far end named, and as a backup. */
	EXPECT(add_subflow(fd, NULL, PEER_SECOND, 1) == 0);
	wait_for_subflows(fd, 2);
	EXPECT(list(fd, &now) == 0);
	EXPECT(is_at(&now.entries[1].local, OUR_SECOND));
	EXPECT(now.entries[1].flags & TCP_MP_SUBFLOW_BACKUP);
	close(fd);

	/* Regular TCP has no further ones, and a connection that is over neither. */
	fd = connected(PLAIN_PORT);
	EXPECT_ERROR(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0), EOPNOTSUPP);
	EXPECT_ERROR(remove_subflow(fd, 0), EOPNOTSUPP);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	have_reset(fd);
	EXPECT_ERROR(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0), EINVAL);
	EXPECT_ERROR(remove_subflow(fd, 0), EINVAL);
	EXPECT_ERROR(rank(fd, 0, TCP_MP_PRIORITY_NORMAL), EINVAL);
	EXPECT_ERROR(list(fd, &now), ENOTCONN);
	close(fd);
}

static void priority(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(manual(fd) == 0);
	EXPECT_ERROR(rank(fd, 0, TCP_MP_PRIORITY_BACKUP), ENOTCONN);
	close(fd);
	fd = with_one();
	EXPECT(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0) == 0);
	wait_for_subflows(fd, 2);
	struct listed now;
	EXPECT(list(fd, &now) == 0);
	uint32_t second = now.entries[1].id;
	struct tcp_mp_priority to = {second, 1};
	socklen_t length = sizeof to;
	EXPECT_ERROR(rank(fd, second, 0), EINVAL);
	EXPECT_ERROR(rank(fd, second, 4), EINVAL);
	EXPECT_ERROR(rank(fd, 77, 1), ENOENT);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_PRIORITY, &to, 4), EINVAL);
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_PRIORITY, &to, &length), EINVAL);

	/* A backup gets nothing while the other one works, and the peer is told. */
	long told = counted_there("MPPrioRx");
	EXPECT(rank(fd, second, TCP_MP_PRIORITY_BACKUP) == 0);
	echo(fd, 10000);
	EXPECT(list(fd, &now) == 0);
	EXPECT(now.entries[1].flags == (TCP_MP_SUBFLOW_JOINED | TCP_MP_SUBFLOW_BACKUP));
	EXPECT(counted_there("MPPrioRx") > told);
	uint64_t before = now.entries[1].bytes_sent;
	echo(fd, 200000);
	EXPECT(list(fd, &now) == 0 && now.entries[1].bytes_sent == before);

	/* The preferred one gets all that it has room for. */
	EXPECT(rank(fd, second, TCP_MP_PRIORITY_PREFERRED) == 0);
	EXPECT(list(fd, &now) == 0);
	EXPECT(now.entries[1].flags == (TCP_MP_SUBFLOW_JOINED | TCP_MP_SUBFLOW_PREFERRED));
	before = now.entries[1].bytes_sent;
	echo(fd, 200000);
	EXPECT(list(fd, &now) == 0 && now.entries[1].bytes_sent >= before + 150000);
	struct flow flow;
	start_flow(&flow, fd);
	EXPECT(rank(fd, second, TCP_MP_PRIORITY_NORMAL) == 0);
	EXPECT(list(fd, &now) == 0 && now.entries[1].flags == TCP_MP_SUBFLOW_JOINED);
	end_flow(&flow);
	close(fd);
}

const struct row subflow_rows[] = {
	{"TCP_MP_SUBFLOWS", subflows},
	{"TCP_MULTIPATH_SUBFLOWS", rfc_subflows},
	{"TCP_MP_CONNID and TCP_MULTIPATH_CONNID", connection_id},
	{"TCP_MP_ADD_SUBFLOW and TCP_MP_REMOVE_SUBFLOW", add_and_remove},
	{"TCP_MP_PRIORITY", priority},
	{NULL, NULL},
};
