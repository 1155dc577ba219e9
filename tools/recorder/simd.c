/*
 * Runs one SSE instruction over many operands on this machine's own processor.
 *
 *   simd CASES RESULTS
 *
 * CASES: records of `struct op`, each followed by `count` of `struct in`; RESULTS: a `struct out` a case. Operands are in xmm0 and xmm1, mm0
 * and mm1 (the same value), rax, rdx; an unmasked exception (SIGFPE) is stepped over and noted. x86-64 Linux. Written and read by simd-fuzz.mjs.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct op { uint32_t length, count; uint8_t code[16]; };
struct in { uint8_t x[16], y[16]; uint64_t mm, rax, rdx; uint32_t mxcsr, pad; };
struct out { uint8_t x[16]; uint64_t mm, rax, rcx; uint32_t mxcsr, rflags, fault, pad; };

void run(const struct in *, struct out *);
extern uint8_t gap[];
__asm__(
  ".section .text.run,\"ax\",@progbits\n.balign 4096\n.globl run\nrun:\n push %rbx\n push %rbp\n push %r12\n mov %rdi, %rbx\n mov %rsi, %rbp\n"
  "movups (%rbx), %xmm0\n movups 16(%rbx), %xmm1\n movq 32(%rbx), %mm0\n movq 32(%rbx), %mm1\n ldmxcsr 56(%rbx)\n"
  "mov 40(%rbx), %rax\n mov 48(%rbx), %rdx\n mov $-1, %rcx\n push $0x8d7\n popfq\n"
  ".globl gap\ngap: .skip 16, 0x90\n"
  "pushfq\n pop %r12\n movups %xmm0, (%rbp)\n movq %mm0, 16(%rbp)\n mov %rax, 24(%rbp)\n mov %rcx, 32(%rbp)\n stmxcsr 40(%rbp)\n mov %r12d, 44(%rbp)\n"
  "push $0x1f80\n ldmxcsr (%rsp)\n pop %rax\n emms\n cld\n pop %r12\n pop %rbp\n pop %rbx\n ret\n.balign 4096\n.text\n");

static uint32_t length, faults;
static void stepOver(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ucontext_t *uc = context;
  uc->uc_mcontext.gregs[REG_RIP] += length;
  faults++;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  FILE *cases = fopen(argv[1], "rb"), *results = fopen(argv[2], "wb");
  if (!cases || !results) return 2;
  uintptr_t page = (uintptr_t)gap & ~4095ul;
  if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) { perror("mprotect"); return 2; }
  struct sigaction sa = { .sa_sigaction = stepOver, .sa_flags = SA_SIGINFO };
  sigaction(SIGFPE, &sa, 0);
  struct op op;
  while (fread(&op, sizeof op, 1, cases) == 1) {
    memset(gap, 0x90, 16);
    memcpy(gap, op.code, op.length);
    length = op.length;
    for (uint32_t i = 0; i < op.count; i++) {
      struct in in;
      struct out out = { 0 };
      if (fread(&in, sizeof in, 1, cases) != 1) return 2;
      faults = 0;
      run(&in, &out);
      out.fault = faults;
      if (fwrite(&out, sizeof out, 1, results) != 1) return 2;
    }
  }
  return fclose(results) ? 2 : 0;
}
