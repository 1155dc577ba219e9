/*
 * Runs each MMX instruction (and the mm forms of SSE, SSE2, SSSE3) on this machine's processor with pseudo-random and
 * extreme operands and prints one hash of all results per instruction. ../../sem/mmx-recorded.ts holds what an Intel Emerald Rapids printed.
 *
 *   gcc -O1 -o /tmp/mmx mmx.c && /tmp/mmx 500
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t seed;
static uint32_t random32(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }
/* The generator is repeated in ../../sem/mmx.test.ts: keep both alike. */
static uint64_t operand(void)
{
    static const uint8_t bytes[8] = { 0, 1, 0x7f, 0x80, 0xff, 0x81, 0xfe, 0x40 };
    static const uint16_t words[8] = { 0, 1, 0x7fff, 0x8000, 0xffff, 0x8001, 0x00ff, 0x0080 };
    uint64_t v = 0;
    uint32_t kind = random32() & 3, r = random32();
    if (kind == 1) for (int i = 0; i < 8; i++) v |= (uint64_t)bytes[r >> (i * 3) & 7] << (i * 8);
    else if (kind == 2) for (int i = 0; i < 4; i++) v |= (uint64_t)words[r >> (i * 3) & 7] << (i * 16);
    else if (kind == 3) v = r % 70;
    else v = (uint64_t)r << 32 | random32();
    return v;
}

struct op { const char *name; void (*run)(uint64_t *); };
#define OP(name, text) static void f_##name(uint64_t *v) { asm volatile("movq (%0),%%mm0\n movq 8(%0),%%mm1\n" text "\n movq %%mm0,(%0)\n emms" : : "r"(v) : "memory", "eax", "mm0", "mm1"); }
#define O2(name) OP(name, #name " %%mm1,%%mm0")
#define ALL2(X) \
  X(paddb) X(paddw) X(paddd) X(paddq) X(psubb) X(psubw) X(psubd) X(psubq) X(paddsb) X(paddsw) X(paddusb) X(paddusw) X(psubsb) X(psubsw) X(psubusb) X(psubusw) \
  X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpgtb) X(pcmpgtw) X(pcmpgtd) X(pminub) X(pmaxub) X(pminsw) X(pmaxsw) X(pavgb) X(pavgw) X(pand) X(pandn) X(por) X(pxor) \
  X(psllw) X(pslld) X(psllq) X(psrlw) X(psrld) X(psrlq) X(psraw) X(psrad) X(pmullw) X(pmulhw) X(pmulhuw) X(pmulhrsw) X(pmuludq) X(pmaddwd) X(pmaddubsw) X(psadbw) \
  X(packsswb) X(packuswb) X(packssdw) X(punpcklbw) X(punpcklwd) X(punpckldq) X(punpckhbw) X(punpckhwd) X(punpckhdq) \
  X(phaddw) X(phaddd) X(phaddsw) X(phsubw) X(phsubd) X(phsubsw) X(pshufb) X(psignb) X(psignw) X(psignd) X(pabsb) X(pabsw) X(pabsd)
ALL2(O2)
OP(pmovmskb, "pmovmskb %%mm1,%%eax\n movd %%eax,%%mm0")
#define SHUF(n) OP(pshufw_##n, "pshufw $" #n ",%%mm1,%%mm0") OP(palignr_##n, "palignr $" #n ",%%mm1,%%mm0") \
  OP(pextrw_##n, "pextrw $" #n ",%%mm1,%%eax\n movd %%eax,%%mm0") OP(pinsrw_##n, "movd %%mm1,%%eax\n pinsrw $" #n ",%%eax,%%mm0") \
  OP(psllw_##n, "psllw $" #n ",%%mm0") OP(psrad_##n, "psrad $" #n ",%%mm0") OP(psrlq_##n, "psrlq $" #n ",%%mm0")
SHUF(0) SHUF(1) SHUF(3) SHUF(8) SHUF(11) SHUF(15) SHUF(16) SHUF(27) SHUF(64) SHUF(177) SHUF(255)
#define E2(name) { #name, f_##name },
#define ES(n) { "pshufw_" #n, f_pshufw_##n }, { "palignr_" #n, f_palignr_##n }, { "pextrw_" #n, f_pextrw_##n }, { "pinsrw_" #n, f_pinsrw_##n }, \
  { "psllw_" #n, f_psllw_##n }, { "psrad_" #n, f_psrad_##n }, { "psrlq_" #n, f_psrlq_##n },
static const struct op ops[] = { ALL2(E2) E2(pmovmskb) ES(0) ES(1) ES(3) ES(8) ES(11) ES(15) ES(16) ES(27) ES(64) ES(177) ES(255) };

int main(int argc, char **argv)
{
    int cases = argc > 1 ? atoi(argv[1]) : 500;
    for (size_t n = 0; n < sizeof ops / sizeof *ops; n++) {
        uint32_t hash = 0x811c9dc5;
        seed = 0x2545f491 + n * 2654435761u;
        for (int i = 0; i < cases; i++) {
            uint64_t v[2];
            v[0] = operand();
            v[1] = operand();
            ops[n].run(v);
            for (int k = 0; k < 8; k++) hash = (hash ^ (uint8_t)(v[0] >> (k * 8))) * 0x01000193;
        }
        printf("  [\"%s\", 0x%08x],\n", ops[n].name, hash);
    }
}
