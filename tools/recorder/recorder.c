/*
 * Runs single instructions on this machine's own processor, at CPL 3, and records what they do.
 *
 *   recorder CASES RESULTS
 *
 * A case is loaded by returning from a signal handler with TF set, so that exactly one instruction runs; the signal that
 * ends it (SIGTRAP, or the fault's own) brings back registers, flags, x87 state, vector, error code and CR2 in its frame.
 * Code segments of 16 and 32 bits and odd data segments come from modify_ldt. Needs x86-64 Linux with FSGSBASE (5.9 on);
 * no privilege. Layouts are those of record.mjs, which writes CASES and reads RESULTS.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum { MAX_LDT = 32, MAX_PAGES = 16, MAX_PATCH = 6, CODE_PAGES = 2 };
enum { FLAG_FPU = 1, FLAG_REPEAT = 2, FLAG_PROGRAM = 4 };

struct patch { u32 addr; u8 length, pad[3]; u8 bytes[32]; };
struct input {
  u8 flags, codeLength, patches, pad0;
  u16 cs, seg[5]; /* ss ds es fs gs */
  u32 codeAddress;
  u64 rip, gpr[16], rflags, fsBase, gsBase;
  u8 code[256];
  struct patch patch[MAX_PATCH];
  u8 fx[512];
};
struct output {
  u64 gpr[16], rip, rflags, cr2, fsBase, gsBase;
  u32 vector, error, diffs, steps;
  u16 cs, seg[5], pad[2];
  u8 fx[512];
}; /* then `diffs` of { u32 addr; u8 value; u8 pad[3] } */
struct page { u32 address, kind; }; /* kind: 0 code (r-x), 1 data (rw-), 2 read-only (r--) */
struct header { u32 magic, cases, pages, ldt; struct page page[MAX_PAGES]; struct { u32 base, limit, flags, pad; } descriptor[MAX_LDT]; };

static struct header head;
static const struct input *cases;
static u8 *image, *alias; /* initial contents; the writable view of the pages under test */
static u32 at = 0xffffffff, steps;
static FILE *results;

/* What the stubs keep: the C side's FS base, and the guest's segment registers. */
u64 hostFs, hostGs, guestFs, guestGs;
u16 guestSeg[4]; /* ds es fs gs */

void entry(int, siginfo_t *, void *);
__asm__(
  ".globl entry\nentry:\n"
  "push $0x202\n popfq\n" /* AC and NT come with the guest */
  "rdfsbase %rax\n mov %rax, guestFs(%rip)\n rdgsbase %rax\n mov %rax, guestGs(%rip)\n"
  "mov %ds, guestSeg(%rip)\n mov %es, 2+guestSeg(%rip)\n mov %fs, 4+guestSeg(%rip)\n mov %gs, 6+guestSeg(%rip)\n"
  "xor %eax, %eax\n mov %eax, %fs\n mov %eax, %gs\n mov hostFs(%rip), %rax\n wrfsbase %rax\n mov hostGs(%rip), %rax\n wrgsbase %rax\n"
  "mov %rsp, %rbx\n cld\n and $-16, %rsp\n call next\n lea 8(%rbx), %rsp\n"
  "mov guestSeg(%rip), %ds\n mov 2+guestSeg(%rip), %es\n mov 4+guestSeg(%rip), %fs\n mov 6+guestSeg(%rip), %gs\n"
  "cmpw $0, 4+guestSeg(%rip)\n jne 1f\n mov guestFs(%rip), %rax\n wrfsbase %rax\n"
  "1: cmpw $0, 6+guestSeg(%rip)\n jne 2f\n mov guestGs(%rip), %rax\n wrgsbase %rax\n"
  /* rt_sigreturn keeps NT and ID of the caller */
  "2: push $0x202\n popfq\n mov $15, %eax\n syscall\n");

static void die(const char *what) { perror(what); exit(2); }

static void *pageAt(u32 address) {
  for (u32 i = 0; i < head.pages; i++)
    if (head.page[i].address == (address & ~0xfffu)) return alias + i * 4096 + (address & 0xfff);
  return 0;
}
static void put(u32 address, const u8 *bytes, u32 length) {
  for (u32 i = 0; i < length; i++) {
    u8 *p = pageAt(address + i);
    if (p) *p = bytes[i];
  }
}
/* A program that does not end is given 50 ms. */
static void arm(int on) {
  struct itimerval t = { .it_value = { .tv_usec = on ? 50000 : 0 } };
  setitimer(ITIMER_REAL, &t, 0);
}
static const int REGISTERS[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static u8 before[MAX_PAGES * 4096];

static void load(ucontext_t *uc) {
  const struct input *c = &cases[at];
  greg_t *g = uc->uc_mcontext.gregs;
  steps = 0;
  if (c->flags & FLAG_PROGRAM) arm(1);
  memcpy(alias, image, head.pages * 4096);
  put(c->codeAddress, c->code, c->codeLength);
  for (u32 i = 0; i < c->patches; i++) put(c->patch[i].addr, c->patch[i].bytes, c->patch[i].length);
  memcpy(before, alias, head.pages * 4096);
  for (int i = 0; i < 16; i++) g[REGISTERS[i]] = c->gpr[i];
  g[REG_RIP] = c->rip;
  g[REG_EFL] = c->flags & FLAG_PROGRAM ? c->rflags & ~0x100ull : c->rflags | 0x100;
  g[REG_CSGSFS] = (u64)c->seg[0] << 48 | c->cs;
  guestSeg[0] = c->seg[1];
  guestSeg[1] = c->seg[2];
  guestSeg[2] = c->seg[3];
  guestSeg[3] = c->seg[4];
  guestFs = c->fsBase;
  guestGs = c->gsBase;
  /* bytes 464..511 belong to software, then the XSAVE header */
  u8 *fx = (u8 *)uc->uc_mcontext.fpregs;
  memcpy(fx, c->fx, 416);
  *(u64 *)(fx + 512) |= 3;
}
static void save(int signal, siginfo_t *info, ucontext_t *uc) {
  static struct output o;
  const greg_t *g = uc->uc_mcontext.gregs;
  (void)info;
  for (int i = 0; i < 16; i++) o.gpr[i] = g[REGISTERS[i]];
  o.rip = g[REG_RIP];
  o.rflags = g[REG_EFL];
  if (cases[at].flags & FLAG_PROGRAM) arm(0);
  o.vector = signal == SIGALRM ? 254 : (u64)g[REG_TRAPNO];
  o.error = g[REG_ERR];
  o.cr2 = g[REG_CR2];
  o.cs = g[REG_CSGSFS];
  o.seg[0] = (u64)g[REG_CSGSFS] >> 48;
  for (int i = 0; i < 4; i++) o.seg[1 + i] = guestSeg[i];
  o.fsBase = guestFs;
  o.gsBase = guestGs;
  o.steps = steps;
  memcpy(o.fx, uc->uc_mcontext.fpregs, 512);
  static struct { u32 addr, value; } diff[MAX_PAGES * 4096];
  u32 n = 0;
  for (u32 p = 0; p < head.pages; p++) {
    if (head.page[p].kind != 1 || memcmp(before + p * 4096, alias + p * 4096, 4096) == 0) continue;
    for (u32 i = 0; i < 4096; i++)
      if (before[p * 4096 + i] != alias[p * 4096 + i]) {
        diff[n].addr = head.page[p].address + i;
        diff[n++].value = alias[p * 4096 + i];
      }
  }
  o.diffs = n;
  if (fwrite(&o, sizeof o, 1, results) != 1 || (n && fwrite(diff, 8, n, results) != n)) die("results");
}
__attribute__((used)) void next(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  if (at != 0xffffffff) {
    const struct input *c = &cases[at];
    const greg_t *g = uc->uc_mcontext.gregs;
    steps++;
    /* A repeated string instruction traps after each element. */
    if (c->flags & FLAG_REPEAT && g[REG_TRAPNO] == 1 && (u64)g[REG_RIP] == c->rip && steps < 100000) return;
    save(signal, info, uc);
  }
  if (++at == head.cases) {
    if (fclose(results)) die("results");
    _exit(0);
  }
  load(uc);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: recorder CASES RESULTS\n");
    return 2;
  }
  int in = open(argv[1], O_RDONLY);
  struct stat st;
  if (in < 0 || fstat(in, &st)) die(argv[1]);
  u8 *file = mmap(0, st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
  if (file == MAP_FAILED) die(argv[1]);
  memcpy(&head, file, sizeof head);
  if (head.magic != 0x43455256 || st.st_size != (off_t)(sizeof head + head.pages * 4096ul + head.cases * sizeof(struct input))) {
    fprintf(stderr, "recorder: %s is not a case file of this version (case %zu bytes, result %zu)\n", argv[1], sizeof(struct input), sizeof(struct output));
    return 2;
  }
  image = file + sizeof head;
  cases = (const struct input *)(image + head.pages * 4096);
  results = fopen(argv[2], "wb");
  if (!results) die(argv[2]);
  setvbuf(results, NULL, _IONBF, 0); /* what is there when a case hangs names it */

  int memory = memfd_create("pages", 0);
  if (memory < 0 || ftruncate(memory, head.pages * 4096)) die("memfd");
  alias = mmap(0, head.pages * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (alias == MAP_FAILED) die("mmap");
  static const int PROT[] = { PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_READ };
  for (u32 i = 0; i < head.pages; i++) {
    void *want = (void *)(uintptr_t)head.page[i].address;
    if (mmap(want, 4096, PROT[head.page[i].kind], MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, memory, i * 4096) != want) die("low memory");
  }
  for (u32 i = 0; i < head.ldt; i++) {
    u32 f = head.descriptor[i].flags;
    if (f == 0) continue;
    /* flags: 1 present, 2 code, 4 expand-down, 8 writable/readable, 16 D/B, 32 G */
    struct user_desc d = { .entry_number = i, .base_addr = head.descriptor[i].base, .limit = head.descriptor[i].limit, .seg_32bit = f >> 4 & 1,
      .contents = f & 2 ? 2 : f & 4 ? 1 : 0, .read_exec_only = !(f & 8), .limit_in_pages = f >> 5 & 1, .seg_not_present = !(f & 1), .useable = 0 };
    if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d)) die("modify_ldt");
  }
  u8 *stack = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t alternate = { .ss_sp = stack, .ss_size = 1 << 20 };
  if (stack == MAP_FAILED || sigaltstack(&alternate, 0)) die("sigaltstack");
  __asm__ volatile("rdfsbase %0\n rdgsbase %1" : "=r"(hostFs), "=r"(hostGs));
  struct sigaction sa = { .sa_sigaction = entry, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
  static const int SIGNALS[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
  for (int i = 0; i < 6; i++)
    if (sigaction(SIGNALS[i], &sa, 0)) die("sigaction");
  raise(SIGTRAP);
  return 2;
}
