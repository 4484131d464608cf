/* The quick ends of the datapath's benches, compiled when one runs: Python would be the slowest part of each path.
 *
 *   load dns ADDRESS PORT              answers every question: A, an address of the name's own, TTL 60
 *   load fresh ADDRESS PORT PREFIX     AAAA: eight addresses never given before below PREFIX/48, TTL 1 to 5
 *   load accept ADDRESS PORT           accepts and lets the other side close
 *   load churn ADDRESS PORT COUNT TCP  asks for AAAA of COUNT names in turn of 1,000, connects at once to port TCP of
 *                                      an address in each answer; prints connected, denied, unanswered, seconds
 *   load names ADDRESS PORT COUNT      asks for A of COUNT names, each once; prints answers, seconds
 *   load connect ADDRESS PORT SECONDS  opens and resets one connection after the other; prints how many
 *   load sink ADDRESS PORT             counts datagrams; one of a single byte is answered with the count, from 0 on
 *   load flood ADDRESS PORT SECONDS    sends datagrams of 64 octets; prints how many arrived, and were sent
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 1500, HEADER = 12, FRESH = 8 };

static struct sockaddr_storage peer;
static socklen_t peer_length;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(const char *address, const char *port, int kind)
{
	struct addrinfo hints = {.ai_socktype = kind, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
	int made, one = 1, size = 4 << 20;

	if (getaddrinfo(address, port, &hints, &found))
		fail(address);
	memcpy(&peer, found->ai_addr, found->ai_addrlen);
	peer_length = found->ai_addrlen;
	made = socket(found->ai_family, kind, 0);
	if (made < 0)
		fail("socket");
	setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(made, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return made;
}

static int listen_at(const char *address, const char *port, int kind)
{
	int made = open_socket(address, port, kind);

	if (bind(made, (struct sockaddr *)&peer, peer_length))
		fail("bind");
	if (kind == SOCK_STREAM && listen(made, 4096))
		fail("listen");
	return made;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint8_t *put_record(uint8_t *at, uint16_t type, uint32_t ttl, const void *data, uint16_t length)
{
	const uint8_t head[12] = {0xc0, HEADER, type >> 8, type, 0, 1, ttl >> 24, ttl >> 16, ttl >> 8, ttl,
				  length >> 8, length};

	memcpy(at, head, sizeof(head));
	memcpy(at + sizeof(head), data, length);
	return at + sizeof(head) + length;
}

/* The question in `message` becomes its answer; its new length, 0 for what is no question. */
static int answer(uint8_t *message, int length, const uint8_t *prefix)
{
	static uint64_t given;
	uint8_t ipv4[4] = {198, 18, 0, 1}; /* RFC 2544; nothing is ever sent there */
	uint32_t hash = 2166136261;
	uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	uint8_t *at = message + HEADER, *end = message + length;
	int type, count = 0;

	while (at < end && *at)
		at += 1 + *at;
	if (at + 5 > end || message[2] & 0x80)
		return 0;
	type = at[1] << 8 | at[2];
	for (uint8_t *c = message + HEADER; c < at; c++)
		hash = (hash ^ (*c | 0x20)) * 16777619;
	memcpy(ipv4 + 2, &hash, 2); /* names rarely share an address */
	at += 5;
	if (prefix && type == 28) {
		uint32_t ttl = 1 + given / FRESH % 5;

		memcpy(ipv6, prefix, 16);
		for (; count < FRESH; count++) {
			uint64_t number = htobe64(++given);

			memcpy(ipv6 + 8, &number, 8);
			at = put_record(at, type, ttl, ipv6, 16);
		}
	} else if (type == 1 || type == 28) {
		at = put_record(at, type, 60, type == 1 ? ipv4 : ipv6, type == 1 ? 4 : 16);
		count = 1;
	}
	message[2] = 0x84 | (message[2] & 1);
	message[3] = 0x80;
	memset(message + 6, 0, 6);
	message[7] = count;
	return at - message;
}

/* One datagram a system call, as DNS servers do. */
static void serve_dns(int server, const uint8_t *prefix)
{
	uint8_t data[MESSAGE];

	for (;;) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(server, data, 512, 0, (struct sockaddr *)&from, &length);
		int size = got > 0 ? answer(data, got, prefix) : 0;

		if (size)
			sendto(server, data, size, 0, (struct sockaddr *)&from, length);
	}
}

static void serve_accept(int server)
{
	for (;;) {
		int client = accept(server, NULL, NULL);

		if (client >= 0)
			close(client);
	}
}

static void connect_for(const char *address, const char *port, double seconds)
{
	struct linger reset = {1, 0};
	double begun = now();
	long made = 0;

	while (now() - begun < seconds) {
		int client = open_socket(address, port, SOCK_STREAM);

		int failed = connect(client, (struct sockaddr *)&peer, peer_length);

		if (failed && errno != ECONNREFUSED && errno != ECONNRESET) /* the server may be overrun */
			fail("connect");
		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(client);
		made += !failed;
	}
	printf("%f\n", made / (now() - begun));
}

static int make_question(uint8_t *message, const char *label, long number, int type)
{
	static uint16_t id;
	char first[64];
	uint8_t *at = message + HEADER;
	const char *labels[] = {first, label, "example", "com"};

	snprintf(first, sizeof(first), "n%ld", number);
	id++;
	memcpy(message, (uint8_t[HEADER]){id >> 8, id, 1, 0, 0, 1}, HEADER);
	for (int i = 0; i < 4; i++) {
		*at = strlen(labels[i]);
		memcpy(at + 1, labels[i], *at);
		at += 1 + *at;
	}
	memcpy(at, (uint8_t[5]){0, type >> 8, type, 0, 1}, 5);
	return at + 5 - message;
}

static void set_patience(int client, int option, int milliseconds)
{
	struct timeval patience = {milliseconds / 1000, milliseconds % 1000 * 1000};

	setsockopt(client, SOL_SOCKET, option, &patience, sizeof(patience));
}

/* 0: the first packet came through. A SYN sent again after a second counts as denied. */
static int try_address(const uint8_t *address, int port)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct linger reset = {1, 0};
	int client = socket(AF_INET6, SOCK_STREAM, 0), failed;

	memcpy(&to.sin6_addr, address, 16);
	set_patience(client, SO_SNDTIMEO, 800);
	failed = connect(client, (struct sockaddr *)&to, sizeof(to));
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(client);
	return failed;
}

static void churn(const char *address, const char *port, long count, int tcp)
{
	int client = open_socket(address, port, SOCK_DGRAM);
	long connected = 0, denied = 0, unanswered = 0;
	uint8_t message[MESSAGE];
	double begun = now();

	if (connect(client, (struct sockaddr *)&peer, peer_length))
		fail("connect");
	set_patience(client, SO_RCVTIMEO, 1000);
	for (long i = 0; i < count && denied < 100; i++) { /* enough to see that it fails */
		int length = make_question(message, "churn", i % 1000, 28);
		ssize_t got;

		send(client, message, length, 0);
		got = recv(client, message, sizeof(message), 0);
		if (got < length + FRESH * 28)
			unanswered++;
		else if (try_address(message + length + i % FRESH * 28 + 12, tcp))
			denied++;
		else
			connected++;
	}
	printf("%ld %ld %ld %f\n", connected, denied, unanswered, now() - begun);
}

static void ask_names(const char *address, const char *port, long count)
{
	int client = open_socket(address, port, SOCK_DGRAM);
	uint8_t message[MESSAGE];
	long answers = 0;
	double begun = now();

	if (connect(client, (struct sockaddr *)&peer, peer_length))
		fail("connect");
	set_patience(client, SO_RCVTIMEO, 200);
	for (long i = 0; i < count; i += 64) {
		int missing = 0;

		for (long j = i; j < i + 64 && j < count; j++)
			missing += send(client, message, make_question(message, "flood", j, 1), 0) > 0;
		for (; missing; missing--) {
			if (recv(client, message, sizeof(message), 0) < 0)
				break;
			answers++;
		}
	}
	printf("%ld %f\n", answers, now() - begun);
}

static void sink(int server)
{
	uint8_t data[64];
	uint64_t count = 0;

	for (;;) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from, &length);

		if (got != 1) {
			count += got > 0;
			continue;
		}
		sendto(server, &count, sizeof(count), 0, (struct sockaddr *)&from, length);
		count = 0;
	}
}

static uint64_t ask_count(int client)
{
	uint64_t count;

	set_patience(client, SO_RCVTIMEO, 500);
	for (int i = 0; i < 20; i++) {
		send(client, "?", 1, 0);
		if (recv(client, &count, sizeof(count), 0) == sizeof(count))
			return count;
	}
	fprintf(stderr, "the sink does not answer\n");
	exit(1);
}

static void flood_for(const char *address, const char *port, double seconds)
{
	int client = open_socket(address, port, SOCK_DGRAM);
	uint8_t data[64] = {0};
	double begun;
	long sent = 0;

	if (connect(client, (struct sockaddr *)&peer, peer_length))
		fail("connect");
	ask_count(client);
	begun = now();
	do {
		for (int i = 0; i < 64; i++)
			sent += send(client, data, sizeof(data), 0) > 0;
	} while (now() - begun < seconds);
	seconds = now() - begun;
	printf("%f %f\n", ask_count(client) / seconds, sent / seconds);
}

int main(int count, char **words)
{
	uint8_t prefix[16];

	if (count < 4)
		return 2;
	if (!strcmp(words[1], "dns"))
		serve_dns(listen_at(words[2], words[3], SOCK_DGRAM), NULL);
	if (!strcmp(words[1], "fresh") && count > 4 && inet_pton(AF_INET6, words[4], prefix))
		serve_dns(listen_at(words[2], words[3], SOCK_DGRAM), prefix);
	if (!strcmp(words[1], "accept"))
		serve_accept(listen_at(words[2], words[3], SOCK_STREAM));
	if (!strcmp(words[1], "sink"))
		sink(listen_at(words[2], words[3], SOCK_DGRAM));
	if (!strcmp(words[1], "connect") && count > 4)
		connect_for(words[2], words[3], atof(words[4]));
	else if (!strcmp(words[1], "churn") && count > 5)
		churn(words[2], words[3], atol(words[4]), atoi(words[5]));
	else if (!strcmp(words[1], "names") && count > 4)
		ask_names(words[2], words[3], atol(words[4]));
	else if (!strcmp(words[1], "flood") && count > 4)
		flood_for(words[2], words[3], atof(words[4]));
	else
		return 2;
	return 0;
}
