/* SPDX-License-Identifier: MIT */
/*
 * What a trapped register access costs: plays QEMU's part on the socket of a `mediant serve` that
 * it starts, and does as many bare round trips on a socket of the same kind with a process that
 * only echoes.  The two take turns, so that a busy moment of the machine hits both.
 *
 *   bench-trap MEDIANT [JSONL]
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/submission.h"
#include "vfio_user/wire.h"

#define ROUNDS	   8
#define PER_ROUND  5000
#define BURST	   32 /* posted writes that fit into a socket's buffer */
#define BURSTS	   200
#define TIMEOUT_NS (10 * NSEC_PER_SEC)

/* i915 reads the one first of all, and writes the other more than any. */
#define REG_PVINFO_MAGIC     0x78000u
#define PVINFO_MAGIC	     0x4776544776544776ull /* "vGTvGTvG" */
#define REG_FORCEWAKE_RENDER 0xa278u

struct access_message {
	struct vfu_header header;
	struct vfu_region_access access;
	uint32_t data; /* of a write's request, or a read's reply */
};
#define READ_REQUEST_BYTES (sizeof(struct vfu_header) + sizeof(struct vfu_region_access))
#define READ_REPLY_BYTES   (READ_REQUEST_BYTES + 4)

static pid_t owner, children[2];
static char folder[] = "/tmp/bench-trap-XXXXXX", socket_path[64], run_folder[64];

/* At exit, however it came about. */
static void clean_up(void)
{
	if (getpid() != owner)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGTERM);
		waitpid(children[i], NULL, 0);
	}
	unlink(socket_path);
	rmdir(run_folder);
	rmdir(folder);
}

static void send_all(int fd, const void *buf, size_t len)
{
	if (send(fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		bench_die("sending %zu bytes: %m", len);
}

static void recv_all(int fd, void *buf, size_t len)
{
	if (recv(fd, buf, len, MSG_WAITALL) != (ssize_t)len)
		bench_die("the other end has gone");
}

/* ---- The bare socket ----------------------------------------------------------------------- */

/* Answers messages of a read's size; takes those of a write's without an answer. */
static void echo(int fd)
{
	struct access_message message = { 0 };

	for (;;) {
		if (recv(fd, &message, READ_REQUEST_BYTES, MSG_WAITALL) <= 0)
			_exit(0);
		if (message.header.bytes == READ_REPLY_BYTES &&
		    recv(fd, &message.data, 4, MSG_WAITALL) <= 0)
			_exit(0);
		if (!(message.header.flags & VFU_FLAG_NO_REPLY) &&
		    send(fd, &message, READ_REPLY_BYTES, MSG_NOSIGNAL) <= 0)
			_exit(0);
	}
}

static int start_echo(void)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		bench_die("socketpair: %m");
	children[0] = fork();
	if (children[0] < 0)
		bench_die("fork: %m");
	if (!children[0]) {
		close(fds[0]);
		echo(fds[1]);
	}
	close(fds[1]);
	return fds[0];
}

/* ---- The device ------------------------------------------------------------------------------ */

static int connect_within(uint64_t ns)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	uint64_t until = clock_now_ns() + ns;

	strcpy(addr.sun_path, socket_path);
	do {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return fd;
		close(fd);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		if (waitpid(children[1], NULL, WNOHANG) == children[1]) {
			children[1] = 0;
			break;
		}
	} while (clock_now_ns() < until);
	bench_die("no server came up at %s", socket_path);
}

static void negotiate(int fd)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8}}";
	struct {
		struct vfu_header header;
		struct vfu_version version;
		char json[sizeof(json)];
	} __attribute__((packed)) hello = {
		.header = { .command = VFU_VERSION, .bytes = sizeof(hello) },
	};
	struct vfu_header reply;
	char rest[4096];

	memcpy(hello.json, json, sizeof(json));
	send_all(fd, &hello, sizeof(hello));
	recv_all(fd, &reply, sizeof(reply));
	if (reply.flags != VFU_FLAG_REPLY || reply.bytes > sizeof(reply) + sizeof(rest))
		bench_die("VERSION was not answered as the protocol has it");
	recv_all(fd, rest, reply.bytes - sizeof(reply));
}

/* Starts the server where this process is pinned. */
static int start_device(const char *mediant)
{
	children[1] = fork();
	if (children[1] < 0)
		bench_die("fork: %m");
	if (!children[1]) {
		execl(mediant, mediant, "serve", "--socket", socket_path, "--name", "vgpu",
		      "--render-only", "--gpu", "null", "--arbiter", "none", "--log", "warn",
		      (char *)NULL);
		bench_die("%s: %m", mediant);
	}
	int fd = connect_within(TIMEOUT_NS);

	negotiate(fd);
	return fd;
}

/* ---- Accesses ----------------------------------------------------------------------------------
 */

static struct access_message request(uint16_t command, uint32_t offset, uint32_t flags)
{
	bool write = command == VFU_REGION_WRITE;

	return (struct access_message){
		.header = { .command = command,
			    .bytes = (uint32_t)(write ? READ_REPLY_BYTES : READ_REQUEST_BYTES),
			    .flags = flags },
		.access = { .offset = offset, .region = 0, .count = 4 },
		.data = 0x00010001, /* masked: sets the lowest bit */
	};
}

/* One round trip; what was read. */
static uint32_t round_trip(int fd, const struct access_message *message, size_t reply_bytes)
{
	struct access_message reply;

	send_all(fd, message, message->header.bytes);
	recv_all(fd, &reply, reply_bytes);
	return reply.data;
}

static void sample_round_trips(struct bench_samples *samples, int fd,
			       const struct access_message *message, size_t reply_bytes)
{
	for (int i = 0; i < PER_ROUND; i++) {
		uint64_t before = clock_now_ns();

		round_trip(fd, message, reply_bytes);
		bench_sample(samples, clock_now_ns() - before);
	}
}

/* What sending costs while the other end can still take more; it catches up after each burst. */
static void sample_posts(struct bench_samples *samples, int fd,
			 const struct access_message *message, const struct access_message *flush)
{
	for (int i = 0; i < BURSTS; i++) {
		uint64_t before = clock_now_ns();

		for (int n = 0; n < BURST; n++)
			send_all(fd, message, message->header.bytes);
		bench_sample(samples, (clock_now_ns() - before) / BURST);
		round_trip(fd, flush, READ_REPLY_BYTES);
	}
}

static void check_device(int fd)
{
	struct access_message read = request(VFU_REGION_READ, REG_PVINFO_MAGIC, 0);
	uint32_t value = round_trip(fd, &read, READ_REPLY_BYTES);

	if (value != (uint32_t)PVINFO_MAGIC)
		bench_die("PVINFO starts with 0x%x: that is no vGPU", value);
}

static void bench_reads(FILE *jsonl, const char *name, const char *what, int device, int bare)
{
	struct access_message read = request(VFU_REGION_READ, REG_PVINFO_MAGIC, 0);
	struct bench_samples ours, echoed;

	bench_samples_init(&ours, ROUNDS * PER_ROUND);
	bench_samples_init(&echoed, ROUNDS * PER_ROUND);
	for (int round = 0; round < ROUNDS; round++) {
		sample_round_trips(&echoed, bare, &read, READ_REPLY_BYTES);
		sample_round_trips(&ours, device, &read, READ_REPLY_BYTES);
	}
	double floor_us = bench_percentile_us(&echoed, 50);
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "us",
				    .value = bench_percentile_us(&ours, 50),
				    .p99 = bench_percentile_us(&ours, 99),
				    .baseline = { what, floor_us },
				    .limit = { "the same", floor_us },
			    });
	bench_samples_fini(&echoed);
	bench_samples_fini(&ours);
}

static void bench_posts(FILE *jsonl, int device, int bare)
{
	struct access_message read = request(VFU_REGION_READ, REG_PVINFO_MAGIC, 0);
	struct access_message post =
		request(VFU_REGION_WRITE, REG_FORCEWAKE_RENDER, VFU_FLAG_NO_REPLY);
	struct bench_samples posted, waited, sent;

	bench_samples_init(&posted, ROUNDS * BURSTS);
	bench_samples_init(&waited, ROUNDS * PER_ROUND);
	bench_samples_init(&sent, ROUNDS * BURSTS);
	for (int round = 0; round < ROUNDS; round++) {
		sample_posts(&sent, bare, &post, &read);
		sample_round_trips(&waited, bare, &read, READ_REPLY_BYTES);
		sample_posts(&posted, device, &post, &read);
	}
	bench_report(jsonl,
		     &(struct bench_result){
			     .name = "trap.write.posted",
			     .unit = "us",
			     .value = bench_percentile_us(&posted, 50),
			     .p99 = bench_percentile_us(&posted, 99),
			     .baseline = { "a bare round trip", bench_percentile_us(&waited, 50) },
			     .limit = { "a bare send()", bench_percentile_us(&sent, 50) },
		     });
	bench_samples_fini(&sent);
	bench_samples_fini(&waited);
	bench_samples_fini(&posted);
}

/* ---- A submission ------------------------------------------------------------------------------
 */

#define PASSES	   200 /* of a round */
#define CONTEXT_AT 0x1800000u
#define BAR0_AT	   0xc0000000u
#define MSI_CAP	   0xacu

/* Asks for something with a descriptor of ours, and waits until it has been done. */
static void ask(int device, uint16_t command, const void *payload, size_t len, int fd)
{
	struct vfu_header header = { .command = command, .bytes = sizeof(header) + (uint32_t)len };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)payload, len } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .align = { .cmsg_len = CMSG_LEN(sizeof(int)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS } };
	struct msghdr msg = { .msg_iov = parts,
			      .msg_iovlen = ARRAY_SIZE(parts),
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	if (sendmsg(device, &msg, MSG_NOSIGNAL) != (ssize_t)header.bytes)
		bench_die("sending command %u: %m", command);
	recv_all(device, &header, sizeof(header));
	if (header.flags != VFU_FLAG_REPLY || header.bytes != sizeof(header))
		bench_die("command %u was not done: %s", command, strerror((int)header.error));
}

static void config_store(int device, uint16_t at, uint32_t value, uint32_t len)
{
	struct access_message message = request(VFU_REGION_WRITE, at, 0);

	message.header.bytes -= sizeof(message.data) - len;
	message.access.region = VFIO_PCI_CONFIG_REGION_INDEX;
	message.access.count = len;
	message.data = value;
	round_trip(device, &message, READ_REQUEST_BYTES);
}

static uint32_t door_load(void *opaque, uint32_t at)
{
	struct access_message message = request(VFU_REGION_READ, at, 0);

	return round_trip(*(int *)opaque, &message, READ_REPLY_BYTES);
}

static void door_store(void *opaque, uint32_t at, uint32_t value)
{
	struct access_message message = request(VFU_REGION_WRITE, at, 0);

	message.data = value;
	round_trip(*(int *)opaque, &message, READ_REQUEST_BYTES);
}

/* The guest's memory, shared with the server; an MSI that ends in an eventfd; an engine. */
static void start_guest(struct submission *s, int device)
{
	const size_t bytes = SUBMISSION_PAGES * PAGE_BYTES;
	const struct submission_door door = { door_load, door_store, &device };
	struct vfu_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .addr = CONTEXT_AT, .bytes = bytes
	};
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.count = 1,
	};
	int memory = memfd_create("guest", MFD_CLOEXEC);
	int msi = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (memory < 0 || msi < 0 || ftruncate(memory, (off_t)bytes))
		bench_die("memory for a guest: %m");
	uint8_t *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (pages == MAP_FAILED)
		bench_die("memory for a guest: %m");
	ask(device, VFU_DMA_MAP, &map, sizeof(map), memory);
	ask(device, VFU_DEVICE_SET_IRQS, &set, sizeof(set), msi);
	config_store(device, PCI_BASE_ADDRESS_0, BAR0_AT, 4);
	config_store(device, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	config_store(device, MSI_CAP + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	submission_init(s, pages, CONTEXT_AT, &door);
	close(memory);
	close(msi);
}

/*
 * @steps accesses of a submission that runs; its end is waited for.  Each takes an exit of the vCPU
 * to QEMU, which sends a message; loads wait for the answer, stores only where not @posted.
 */
static void replay(struct submission *s, int device, unsigned int steps, bool posted)
{
	submission_prepare(s);
	for (unsigned int i = 0; i < steps; i++) {
		const struct rig_access *access = &s->steps[i];
		struct access_message message =
			request(access->store ? VFU_REGION_WRITE : VFU_REGION_READ, access->at,
				access->store && posted ? VFU_FLAG_NO_REPLY : 0);

		message.data = access->value;
		if (access->store && posted)
			send_all(device, &message, message.header.bytes);
		else
			round_trip(device, &message,
				   access->store ? READ_REQUEST_BYTES : READ_REPLY_BYTES);
		if (i == SUBMISSION_PORT - 1)
			submission_wait(s);
	}
}

/* Accesses the server has been asked for so far, by its own account. */
static uint64_t server_accesses(const char *mediant)
{
	unsigned long long total = 0;
	char command[256], line[256];
	const char *at;

	snprintf(command, sizeof(command), "%s stat vgpu --json", mediant);
	FILE *stat = popen(command, "re");
	while (stat && fgets(line, sizeof(line), stat))
		if ((at = strstr(line, "\"total\": ")))
			total = strtoull(at + strlen("\"total\": "), NULL, 10);
	if (!stat || pclose(stat) || !total)
		bench_die("%s: no count of accesses", command);
	return total;
}

/* A round of passes; what the server had to do for each of them, into @accesses in thousandths. */
static void replay_round(struct submission *s, int device, const char *mediant, unsigned int steps,
			 bool posted, struct bench_samples *times, struct bench_samples *accesses)
{
	uint64_t count = server_accesses(mediant);

	for (int i = 0; i < PASSES; i++) {
		uint64_t before = clock_now_ns();

		replay(s, device, steps, posted);
		bench_sample(times, clock_now_ns() - before);
	}
	/* What was posted is done before what is answered. */
	door_load(&device, REG_PVINFO_MAGIC);
	bench_sample(accesses, 1000 * (server_accesses(mediant) - count - 1) / PASSES);
}

static void bench_submission(FILE *jsonl, const char *name, const char *time_name,
			     unsigned int steps, struct submission *s, int device,
			     const char *mediant)
{
	struct bench_samples posted, waited, exits;

	bench_samples_init(&posted, ROUNDS * PASSES);
	bench_samples_init(&waited, ROUNDS * PASSES);
	bench_samples_init(&exits, 2 * ROUNDS);
	for (int round = 0; round < ROUNDS; round++) {
		replay_round(s, device, mediant, steps, true, &posted, &exits);
		replay_round(s, device, mediant, steps, false, &waited, &exits);
	}
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "exits",
				    .value = bench_percentile_us(&exits, 50),
				    .p99 = bench_percentile_us(&exits, 99),
				    .baseline = { "one for each access", steps },
				    .limit = { "one has to be seen", 1 },
			    });
	bench_report(jsonl, &(struct bench_result){
				    .name = time_name,
				    .unit = "us",
				    .value = bench_percentile_us(&posted, 50),
				    .p99 = bench_percentile_us(&posted, 99),
				    .baseline = { "the same, stores answered",
						  bench_percentile_us(&waited, 50) },
				    .limit = { "no message", 0 },
			    });
	bench_samples_fini(&exits);
	bench_samples_fini(&waited);
	bench_samples_fini(&posted);
}

int main(int argc, char **argv)
{
	struct submission submission;
	FILE *jsonl = bench_begin(argc, argv, "MEDIANT [JSONL]");
	int cpus[2];

	if (!mkdtemp(folder))
		bench_die("%s: %m", folder);
	snprintf(socket_path, sizeof(socket_path), "%s/vgpu", folder);
	/* Where the server can be asked for its counters. */
	snprintf(run_folder, sizeof(run_folder), "%s/run", folder);
	setenv("MEDIANT_RUNTIME_DIR", run_folder, 1);
	owner = getpid();
	atexit(clean_up);

	int cpu_count = bench_cpus(cpus, ARRAY_SIZE(cpus));
	if (!cpu_count || !bench_pin(cpus[0]))
		bench_die("this process may run on no CPU");
	int bare = start_echo();
	int device = start_device(argv[1]);
	check_device(device);

	bench_table_head();
	bench_reads(jsonl, "trap.read.vfio_user", "a bare round trip, one CPU", device, bare);
	bench_posts(jsonl, device, bare);
	start_guest(&submission, device);
	bench_submission(jsonl, "submit.vfio_user.exits", "submit.vfio_user.time", SUBMISSION_PORT,
			 &submission, device, argv[1]);
	bench_submission(jsonl, "submit.vfio_user.irq.exits", "submit.vfio_user.irq.time",
			 SUBMISSION_STEPS, &submission, device, argv[1]);
	if (cpu_count > 1 && bench_pin(cpus[1]))
		bench_reads(jsonl, "trap.read.vfio_user.cross_cpu", "a bare round trip, two CPUs",
			    device, bare);
	close(device);
	close(bare);
	return bench_end(jsonl);
}
