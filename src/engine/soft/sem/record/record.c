/*
 * Runs each integer instruction on this machine's processor with pseudo-random operands and flags, and prints one hash
 * of all results and arithmetic flags per instruction. ../recorded.ts holds what an Intel Emerald Rapids printed.
 *
 *   gcc -O1 -no-pie -o /tmp/record record.c && /tmp/record 300
 *   /tmp/record 20 shl.8 dump      one instruction, every case in clear: rax rbx rcx rdx flags -> the same after
 *
 * Registers in the texts: rax destination, rbx source, cl count, rdx second half.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct op { void (*run)(uint64_t *); const char *name; };
extern const struct op __start_optable[], __stop_optable[];

#define OP(name, text) \
  asm(".intel_syntax noprefix\n.section opcode,\"ax\",@progbits\n" \
      "1: push rbx\npush qword ptr [rdi+32]\nmov rax,[rdi]\nmov rbx,[rdi+8]\nmov rcx,[rdi+16]\nmov rdx,[rdi+24]\npopfq\n" text \
      "\npushfq\npop qword ptr [rdi+32]\nmov [rdi],rax\nmov [rdi+8],rbx\nmov [rdi+16],rcx\nmov [rdi+24],rdx\npop rbx\nret\n" \
      ".section opname,\"a\",@progbits\n2: .asciz \"" name "\"\n.section optable,\"a\",@progbits\n.quad 1b,2b\n.text\n.att_syntax\n");

#define WIDE2(o) OP(o ".16", o " ax,bx") OP(o ".32", o " eax,ebx") OP(o ".64", o " rax,rbx")
#define ALL2(o) OP(o ".8", o " al,bl") WIDE2(o)
#define ALL1(o) OP(o ".8", o " al") OP(o ".16", o " ax") OP(o ".32", o " eax") OP(o ".64", o " rax")
#define BY(o, n) OP(n ".8", o " bl") OP(n ".16", o " bx") OP(n ".32", o " ebx") OP(n ".64", o " rbx")
#define SHIFT(o) \
  OP(o ".8", o " al,cl") OP(o ".16", o " ax,cl") OP(o ".32", o " eax,cl") OP(o ".64", o " rax,cl") \
  OP(o "1.8", o " al,1") OP(o "1.16", o " ax,1") OP(o "1.32", o " eax,1") OP(o "1.64", o " rax,1")
#define DOUBLE(o) OP(o ".16", o " ax,bx,cl") OP(o ".32", o " eax,ebx,cl") OP(o ".64", o " rax,rbx,cl")
#define COND(n, cc) OP("setcc" n ".8", "set" cc " al") OP("cmovcc" n ".16", "cmov" cc " ax,bx") OP("cmovcc" n ".32", "cmov" cc " eax,ebx") OP("cmovcc" n ".64", "cmov" cc " rax,rbx")

ALL2("add") ALL2("or") ALL2("adc") ALL2("sbb") ALL2("and") ALL2("sub") ALL2("xor") ALL2("cmp") ALL2("test") ALL2("xadd") ALL2("xchg") ALL2("mov")
OP("cmpxchg.8", "cmpxchg dl,bl") OP("cmpxchg.16", "cmpxchg dx,bx") OP("cmpxchg.32", "cmpxchg edx,ebx") OP("cmpxchg.64", "cmpxchg rdx,rbx")
ALL1("not") ALL1("neg") ALL1("inc") ALL1("dec")
SHIFT("shl") SHIFT("shr") SHIFT("sar") SHIFT("rol") SHIFT("ror") SHIFT("rcl") SHIFT("rcr") DOUBLE("shld") DOUBLE("shrd")
BY("mul", "mul") BY("imul", "imul1") BY("div", "div") BY("idiv", "idiv") WIDE2("imul")
WIDE2("bt") WIDE2("bts") WIDE2("btr") WIDE2("btc") WIDE2("bsf") WIDE2("bsr") WIDE2("popcnt")
OP("adcx.32", "adcx eax,ebx") OP("adcx.64", "adcx rax,rbx") OP("adox.32", "adox eax,ebx") OP("adox.64", "adox rax,rbx")
OP("bswap.16", ".byte 0x66,0x0f,0xc8") OP("bswap.32", "bswap eax") OP("bswap.64", "bswap rax")
OP("crc32_8.32", "crc32 eax,bl") OP("crc32_16.32", "crc32 eax,bx") OP("crc32_32.32", "crc32 eax,ebx") OP("crc32_8.64", "crc32 rax,bl") OP("crc32_64.64", "crc32 rax,rbx")
OP("movzx_8.16", "movzx ax,bl") OP("movzx_8.32", "movzx eax,bl") OP("movzx_8.64", "movzx rax,bl") OP("movzx_16.32", "movzx eax,bx") OP("movzx_16.64", "movzx rax,bx")
OP("movsx_8.16", "movsx ax,bl") OP("movsx_8.32", "movsx eax,bl") OP("movsx_8.64", "movsx rax,bl") OP("movsx_16.32", "movsx eax,bx") OP("movsx_16.64", "movsx rax,bx")
OP("movsx_32.64", "movsxd rax,ebx")
OP("cbw.16", "cbw") OP("cbw.32", "cwde") OP("cbw.64", "cdqe") OP("cwd.16", "cwd") OP("cwd.32", "cdq") OP("cwd.64", "cqo")
OP("lahf.8", "lahf") OP("sahf.8", "sahf") OP("clc.8", "clc") OP("stc.8", "stc") OP("cmc.8", "cmc")
COND("0", "o") COND("1", "no") COND("2", "b") COND("3", "ae") COND("4", "e") COND("5", "ne") COND("6", "be") COND("7", "a")
COND("8", "s") COND("9", "ns") COND("10", "p") COND("11", "np") COND("12", "l") COND("13", "ge") COND("14", "le") COND("15", "g")

static sigjmp_buf after_fault;
static void on_fault(int signal) { siglongjmp(after_fault, signal); }

/* The generator is repeated in ../sem.test.ts: keep both alike. */
static uint32_t seed;
static uint32_t random32(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }
static uint64_t operand(void)
{
  uint64_t high = random32(), v = high << 32 | random32();
  switch (random32() & 15) {
    case 0: return 0;
    case 1: return ~0ull;
    case 2: return 1ull << 63;
    case 3: return v & 0xff;
    case 4: return v | ~0xffull;
    case 5: return 1ull << (v & 63);
    case 6: return ~(1ull << (v & 63));
    case 7: return (v & 0x7fff) | 0x80008000;
    case 8: return v & 0xffffffff;
    case 9: return v & 3;
    default: return v;
  }
}

int main(int argc, char **argv)
{
  int cases = argc > 1 ? atoi(argv[1]) : 300;
  struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
  sigaction(SIGFPE, &action, 0);
  for (const struct op *op = __start_optable; op < __stop_optable; op++) {
    if (argc > 2 && strcmp(argv[2], op->name)) continue;
    seed = 0x12345678;
    uint32_t hash = 0x811c9dc5;
    for (int i = 0; i < cases; i++) {
      uint64_t in[5], out[5];
      for (int k = 0; k < 4; k++) in[k] = operand();
      uint32_t f = random32();
      if ((f & 0x10000) && !strncmp(op->name, "cmpxchg", 7)) in[3] = in[0];
      /* Half of the divisions get a high half that makes an overflow unlikely. */
      if ((f & 0x20000) && strstr(op->name, "div")) in[3] = f & 0x40000 ? 0 : op->name[0] == 'i' && in[0] >> 63 ? ~0ull : in[3] & 0xff;
      in[4] = (f & 0x8d5) | 0x202;
      memcpy(out, in, sizeof in);
      int fault = sigsetjmp(after_fault, 1);
      if (!fault) op->run(out);
      else { memcpy(out, in, sizeof in); out[4] = 0x10000; }
      out[4] &= 0x108d5;
      if (argc > 3) {
        printf("%lx %lx %lx %lx %lx -> %lx %lx %lx %lx %lx\n", in[0], in[1], in[2], in[3], in[4] & 0x8d5, out[0], out[1], out[2], out[3], out[4]);
      }
      for (int k = 0; k < 5; k++) for (int b = 0; b < 64; b += 8) hash = (hash ^ (out[k] >> b & 0xff)) * 0x01000193;
    }
    printf("%s %08x\n", op->name, hash);
  }
  return 0;
}
