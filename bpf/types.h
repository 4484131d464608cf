/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the programs and user space share: keys and values of the maps, events, enums.
 *
 * src/namewall/datapath/layout.py says the same in Python and a test compares both through BTF, so every
 * struct here is free of implicit padding. Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
 * Ports are in host order unless the type says __be16. Times are seconds of CLOCK_BOOTTIME unless named ns.
 */
#pragma once

#include <linux/types.h>

/* Goes up whenever a pinned map of an older version cannot be read as it is. */
#define SCHEMA 6

#define MAX_ADDRESSES 8	  /* of one endpoint */
#define MAX_BACKENDS 16	  /* different (peer, target port) pairs of one service */
#define GRANT_SLOTS 4	  /* name classes in one page of an address */
#define GRANT_PAGES 32	  /* so 128 names behind one address for one workload */
#define PENDING_WAYS 4	  /* questions that share a set, which is one line of the cache */
#define PENDING_SETS 2048 /* of one endpoint */
#define MAX_NAME 255	  /* RFC 1035, 2.3.4: octets of a name on the wire */
#define MAX_QUESTION 512  /* octets of a DNS message that asks */
#define MAX_ANSWER 4096	  /* octets of a DNS message that is learned from */
#define MAX_RECORDS 320	  /* looked at in one answer */
#define MAX_LEARNED 256	  /* addresses learned from one answer */
#define TYPE_OTHER 31	  /* the bit of question types that have none of their own */
#define MAX_CHAIN 16	  /* CNAME records of one answer */

enum direction {
	INGRESS = 0,
	EGRESS = 1,
};

enum endpoint_flags {
	ENFORCE_INGRESS = 1,
	ENFORCE_EGRESS = 2,
	REBINDING_STRICT = 4, /* private addresses are not granted either */
	LEARNS_NAMES = 8,     /* some rule of its policy names peers by DNS name */
	VERIFY_NAMES = 16,    /* TLS must ask for the name that opened its way */
	VERIFY_IN_AUDIT = 32, /* what VERIFY_NAMES would drop passes and is told of */
};

/* A peer in a policy key: the kind in the two highest bits, the number below them. */
enum peer_kind {
	PEER_IDENTITY = 0x00000000u, /* with number 0: any peer */
	PEER_CIDR = 0x40000000u,     /* the class of an address outside the cluster */
	PEER_CIDR_INSIDE = 0x80000000u,
	PEER_NAME = 0xC0000000u,
	PEER_NUMBER = 0x3fffffffu,
};

enum policy_flags {
	POLICY_DENY = 1,
	POLICY_DNS = 2,	    /* only questions whose name is in `rules` pass */
	POLICY_DNS_ANY = 4, /* with POLICY_DNS: every name is */
	POLICY_ASIDE = 8,   /* plain, and adds no names to what others of the same peer have judged */
};

enum ipcache_flags {
	INSIDE = 1, /* pods, nodes, closed ranges: never granted, no Cilium CIDR rule matches */
};

/* Reserved numeric identities the programs need to know; model/identity.py has them all. */
enum identity {
	IDENTITY_HOST = 1,
	IDENTITY_WORLD_IPV4 = 9,
	IDENTITY_WORLD_IPV6 = 10,
	IDENTITY_CLOSED = 15,
};

/* The accept cell of an automaton holds a class and this bit when a toFQDNs selector is in the class. */
enum class_flags {
	CLASS_GRANTS = 0x80000000u,
	CLASS_NUMBER = 0x7fffffffu,
};

/* Why a packet was dropped: model/flow.py has the same list. Numbers below 220 are Cilium's. */
enum drop_reason {
	DROP_INVALID_SOURCE_MAC = 130,
	DROP_INVALID_SOURCE_IP = 132,
	DROP_POLICY_DENIED = 133,
	DROP_INVALID_PACKET_DROPPED = 134,
	DROP_CT_TRUNCATED_OR_INVALID_HEADER = 135,
	DROP_CT_MISSING_TCP_ACK_FLAG = 136,
	DROP_CT_UNKNOWN_L4_PROTOCOL = 137,
	DROP_UNSUPPORTED_L3_PROTOCOL = 139,
	DROP_IP_FRAGMENTATION_NOT_SUPPORTED = 157,
	DROP_SERVICE_BACKEND_NOT_FOUND = 158,
	DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION = 165,
	DROP_FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND = 175,
	DROP_FORBIDDEN_ICMPV6_MESSAGE = 176,
	DROP_SOCKET_LOOKUP_FAILED = 178,  /* no proxy for DNS over TCP: the agent is not there */
	DROP_SOCKET_ASSIGN_FAILED = 179,
	DROP_PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL = 180,
	DROP_POLICY_DENY = 181,
	DROP_VLAN_FILTERED = 182,
	/* Ours. */
	DROP_DNS_REFUSED = 220,		  /* answered with REFUSED */
	DROP_DNS_MALFORMED = 221,	  /* a question or answer that cannot be read for sure */
	DROP_DNS_SEGMENTED = 222,	  /* GSO super-packet: it could hide further questions */
	DROP_DNS_UNSOLICITED = 223,	  /* an answer nobody asked for */
	DROP_FORBIDDEN_ARP = 224,	  /* for an address that is neither the endpoint's nor the gateway */
	DROP_DHCP_SERVER = 225,		  /* a workload that answers as a DHCP server */
	DROP_IP_OPTIONS = 226,		  /* IPv4 options, IPv6 routing headers */
	DROP_TOO_MANY_BACKENDS = 227,	  /* a service with more than MAX_BACKENDS different backends */
	DROP_ICMP_ERROR_UNRELATED = 228,  /* an ICMP error about no connection of this endpoint */
	DROP_MAPPED_ADDRESS = 229,	  /* ::ffff:0:0/96 in an IPv6 header */
	DROP_DNS_RATE_LIMITED = 230,	  /* more questions than an endpoint may ask */
	DROP_DNS_LABEL_TOO_LONG = 231,	  /* answered like a refused name */
	DROP_TLS_NAME_NOT_GRANTED = 232,  /* a ClientHello for a name that is not granted at its address */
	DROP_TLS_NAME_UNREADABLE = 233,	  /* data before a ClientHello that can be read for sure */
};

enum event_type {
	EVENT_FLOW = 1,	   /* first packet of a flow that passes */
	EVENT_DROP = 2,	   /* struct flow_event too */
	EVENT_LEARNED = 3, /* struct name_event */
	EVENT_REFUSED = 4, /* struct name_event */
	EVENT_AUDIT = 5,   /* struct flow_event: what all policies together say, where those enforced say otherwise */
};

enum learned_flags {
	REFUSED_IN_AUDIT = 2, /* of a refused name: it passed, only a policy in audit would refuse it */
	LEARNED_FULL = 1, /* the scope's grants are used up: not all addresses were granted */
};

struct address {
	__u64 high;
	__u64 low;
};

/* What a refused question is answered with. */
enum refusal {
	REFUSAL_AUTO = 0, /* NXDOMAIN below a search domain of the endpoint, so that its resolver goes on; else REFUSED */
	REFUSAL_REFUSED = 1,
	REFUSAL_NXDOMAIN = 2,
};

/* Up to `secret` the same in every schema: datapath/succession.py reads it of older ones. */
struct config {
	__u32 schema;
	__u32 generation; /* of everything a verdict depends on: flows judged under another are judged again */
	__u32 epoch; /* which numbers (classes, rules) the rows mean: datapath/numbers.py */
	__u32 refusal; /* enum refusal */
	__u64 secret; /* of the hash of pending questions */
	__u64 question_ns; /* a question of one endpoint takes this long to be forgotten; 0: no limit */
	__u64 burst_ns;	   /* what may be remembered at once: its questions beyond that drop */
	__u32 longest_label;
	__u32 grace; /* seconds a grant lives beyond its TTL */
	__u32 proxy_mark; /* of packets for the proxy, which a rule routes to this host's own sockets; 0: no proxy */
	__u32 socket_mark; /* the proxy's own sockets have it: another's at its port is not it */
	__u16 proxy_port4;
	__u16 proxy_port6;
	__u32 reserved;
	struct address gateway4;
	struct address gateway6;
};

/* Key: interface index of the host's side. `slot` finds the endpoint's own maps; up to it the same in every schema. */
struct endpoint {
	__u32 id;
	__u32 scope;
	__u32 slot;
	__u32 identity;
	__u32 policy;
	__u32 flags;
	__u8 mac[6];
	__u8 gateway_mac[6];
	__u32 address_count;
	__u32 min_ttl;
	__u32 search; /* a set of DNS patterns: the names below the search domains of its resolv.conf */
	__u32 audit_policy; /* of all policies together, those in audit too; 0 where none is in audit */
	__u32 audit_flags;
	struct address addresses[MAX_ADDRESSES];
};

struct prefix_key {
	__u32 length;
	__u8 address[16];
};

struct ipcache_entry {
	__u32 identity;
	__u32 flags;
};

/* Longest prefix match. Policy, peer and direction are matched whole, so they stand first; the protocol may
 * be wild only where the port is, so it stands before the port: one look-up finds the longest L4 match. */
struct policy_key {
	__u32 length; /* POLICY_EXACT less what is wild */
	__u32 policy;
	__u32 peer;
	__u8 direction;
	__u8 protocol;
	__be16 port;
};

#define POLICY_EXACT 96 /* bits of a policy key: 72 for policy, peer and direction, 8 protocol, 16 port */
#define POLICY_L4 24

struct policy_entry {
	__u8 flags;
	__u8 l4_bits; /* how much of protocol and port this entry names: 0 to POLICY_L4 */
	__u16 reserved;
	__u32 rules; /* a set of DNS patterns */
};

/* The value is a mask of question types: bit `type_bit()` for those it knows, TYPE_OTHER for all others. */
struct dns_rule_key {
	__u32 rules;
	__u32 name_class;
};

struct service_key {
	struct address address;
	__u16 port;
	__u8 protocol;
	__u8 reserved[5];
};

struct backend {
	__u32 identity;
	__u32 cidr; /* a peer, 0 for none */
	__u16 port;
	__u16 reserved;
};

struct service {
	__u32 count; /* 0: nothing is ready; more than MAX_BACKENDS: too many to judge */
	struct backend backends[MAX_BACKENDS];
};

struct connection_key {
	struct address local;
	struct address remote;
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 reserved[3];
};

enum connection_flags {
	CONNECTION_REPLIED = 1,
	CONNECTION_FIN_FORWARD = 2,
	CONNECTION_FIN_REPLY = 4,
	CONNECTION_CLOSING = 8,
	CONNECTION_PROXY = 16, /* DNS over TCP, led to the proxy */
	CONNECTION_HELLO = 32, /* the name it asks for is to be verified */
	CONNECTION_ASKED = 64, /* and one was that may be asked for */
};

struct connection {
	__u32 expires;
	__u32 created;
	__u32 generation;
	__u32 name_class; /* of the grant that opened it, 0 for none */
	__u8 direction;	  /* who began */
	__u8 flags;
	__u16 reserved;
};

struct grant_key {
	struct address address;
	__u32 page;
	__u32 reserved;
};

/* A slot is a name class in the high half and the last second it is good for in the low half. */
struct grant_page {
	__u64 slots[GRANT_SLOTS];
};

/* Where in the ring of its addresses a scope is. */
struct grant_hand {
	__u64 turns; /* addresses put there so far */
	__u32 size;
	__u32 evicted; /* addresses that went before their time */
};

/* One question on its way, noted for whichever epoch its answer meets: a change here or of question_hash() needs
 * another name in datapath/layout.py (QUESTIONS). The lowest bit of `hash` says whether its answer teaches. */
struct pending {
	__u64 hash;
	__u32 asked;
	__u32 count; /* answers still due: a question may be sent again */
};

struct pending_set {
	struct pending ways[PENDING_WAYS];
};

struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 ifindex;
	__u32 protocol;
	__u32 direction;
};

struct drop_key {
	struct address remote;
	__u32 endpoint;
	__u16 reason;
	__u16 port;
	__u32 protocol;
	__u32 direction;
};

struct drop_count {
	__u64 told_ns;
	__u64 left_out;
};

struct flow_event {
	__u64 time_ns;
	__u32 type;
	__u32 endpoint;
	struct address local;
	struct address remote;
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 direction;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u32 identity; /* the peer's */
	__u32 policy;
	__u32 peer; /* of the entry that decided */
	__u32 name_class;
	__u8 l4_bits;
	__u8 decided; /* 0: no entry did (not enforced, or nothing matched) */
	__u16 reason; /* 0: passed; EVENT_AUDIT: would pass */
	__u32 left_out; /* drops like this one since the last event */
	__u32 length;
	__u32 dropped; /* EVENT_AUDIT: what happened to the packet, a drop reason or 0 */
};

struct name_event {
	__u64 time_ns;
	__u32 type;
	__u32 endpoint;
	__u32 scope;
	__u32 name_class;
	__u32 ttl; /* as granted */
	__u32 flags;
	struct address server;
	__u16 server_port;
	__u16 query_type;
	__u16 name_length;
	__u16 address_count; /* of struct address right after the name's 256 bytes */
	__u8 name[256];
};

/* What user space hands to the `maintain` program, which changes grants as the kernel's own code does. */
enum maintain_operation {
	MAINTAIN_GRANT = 1,
	MAINTAIN_EXPIRE = 2, /* free the slots of the page whose deadline is before `deadline` */
};

struct maintain_request {
	struct address address;
	__u32 operation;
	__u32 slot;
	__u32 name_class;
	__u32 deadline;
	__u32 page;
	__u32 reserved;
};
