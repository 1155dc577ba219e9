/*
 * Runs each x87 instruction on this machine's processor with pseudo-random and edge-case states (registers, tags, control word,
 * memory operand) and prints one hash of all results per opcode. ../recorded.ts holds what an Intel Emerald Rapids printed.
 *
 *   gcc -O1 -o /tmp/record record.c && /tmp/record 400            hashes
 *   /tmp/record 400 dump > /tmp/x87.bin                           every case in clear, see struct result
 *   /tmp/record 60 samples                                        transcendentals: status word, ST(0) and ST(1) after each case
 *
 * The generator of cases is repeated in ../cases.ts: keep both alike.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t seed;
static uint32_t random32(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }

struct image { uint32_t fcw, fsw, ftw, fip, fcs, fdp, fds; uint8_t st[80]; } __attribute__((packed));
struct case_ { struct image in; uint8_t mem[16]; uint32_t flags; };
struct result { uint32_t op; uint32_t in_fcw, in_fsw, in_ftw; uint8_t in_st[80]; uint8_t in_mem[16]; uint32_t in_flags;
                uint32_t fcw, fsw, ftw; uint8_t st[80]; uint8_t mem[16]; uint32_t flags; uint32_t ax; } __attribute__((packed));

static void mantissa(uint32_t *hi, uint32_t *lo)
{
    uint32_t kind = random32() % 10, n;
    *hi = random32(); *lo = random32();
    switch (kind) {
    case 0: *hi = 0x80000000; *lo = 0; break;
    case 1: n = random32() & 31; *hi &= ~(0xffffffffu >> n); *lo = 0; break;
    case 2: n = random32() & 31; *lo &= ~(0xffffffffu >> n); break;
    case 3: *hi = 0xffffffff; n = random32() & 31; *lo |= ~(0xffffffffu >> n); break;
    case 4: *hi = (*hi & ~0xffu) | 0x80; *lo = random32() & 1 ? 0 : 1; break;
    case 5: *lo = (*lo & ~0x7ffu) | 0x400; break;
    case 6: *hi = 0xffffff00 | (*hi & 0xff); break;
    case 7: *hi = 0x80000000; *lo = 1u << (*lo & 31); break;
    default: break;
    }
}

static void put80(uint8_t *p, uint32_t se, uint32_t hi, uint32_t lo)
{
    memcpy(p, &lo, 4); memcpy(p + 4, &hi, 4); p[8] = se; p[9] = se >> 8;
}

static void operand80(uint8_t *p)
{
    static const uint32_t limits[8] = { 0x3fff + 15, 0x3fff + 31, 0x3fff + 63, 0x3fff + 127, 0x3fff - 126, 0x3fff + 1023, 0x3fff - 1022, 0x3fff - 149 };
    uint32_t hi, lo, e, kind = random32() % 20, sign = random32() & 0x8000;
    mantissa(&hi, &lo);
    hi |= 0x80000000;
    switch (kind) {
    case 0: e = 0; hi = lo = 0; break;
    case 1: e = 0x7fff; hi = 0x80000000; lo = 0; break;
    case 2: e = 0x7fff; break;
    case 3: e = 0; hi &= 0x7fffffff; if (random32() & 1) hi >>= random32() & 31; break;
    case 4: e = 0; break;
    case 5: e = random32() & 0x7fff; hi &= 0x7fffffff; break;
    case 6: e = 0x3fff + (random32() & 3); lo = 0; hi &= 0xf0000000; break;
    case 7: case 8: e = limits[random32() & 7]; e += random32() % 5 - 2; break;
    case 9: e = 0x7ffe - (random32() & 3); break;
    case 10: e = random32() & 3; if (e == 0) e = 1; break;
    case 11: e = random32() % 0x7fff; if (e == 0) e = 1; break;
    default: e = 0x3fff - 70 + random32() % 140; break;
    }
    put80(p, e | sign, hi, lo);
}

/* A neighbour of another value: for cancellation, equal operands, ties. */
static void near80(uint8_t *p, const uint8_t *q)
{
    uint32_t at;
    memcpy(p, q, 10);
    switch (random32() % 6) {
    case 0: break;
    case 1: p[9] ^= 0x80; break;
    case 2: p[0] ^= random32() & 7; break;
    case 3: p[8] += random32() % 7 - 3; break;
    case 4: p[8] += random32() % 129 - 64; p[9] ^= random32() & 0x80; break;
    default: p[9] ^= random32() & 0x80; at = random32() & 7; p[at] ^= random32() & 0xff; break;
    }
}

static void float32(uint8_t *p)
{
    uint32_t v = random32(), kind = random32() & 7;
    if (kind == 0) v &= 0x807fffff;
    else if (kind == 1) v |= 0x7f800000;
    else if (kind == 2) v &= 0xff800000;
    else if (kind == 3) v = (v & 0x80ffffff) | 0x3f000000;
    memcpy(p, &v, 4);
}
static void float64(uint8_t *p)
{
    uint32_t lo = random32(), v = random32(), kind = random32() & 7;
    if (kind == 0) v &= 0x800fffff;
    else if (kind == 1) v |= 0x7ff00000;
    else if (kind == 2) { v &= 0xfff00000; lo = 0; }
    else if (kind == 3) v = (v & 0x801fffff) | 0x3fe00000;
    memcpy(p, &lo, 4); memcpy(p + 4, &v, 4);
}
static void memory(uint8_t *p, char kind)
{
    for (int i = 0; i < 16; i += 4) { uint32_t r = random32(); memcpy(p + i, &r, 4); }
    if (kind == 'f') float32(p);
    else if (kind == 'd') float64(p);
    else if (kind == 't') operand80(p);
    else if (kind == 'i') { uint32_t n = random32() & 31; int32_t v; memcpy(&v, p, 4); v >>= n; memcpy(p, &v, 4); }
    else if (kind == 'q') { uint32_t n = random32() & 63; int64_t v; memcpy(&v, p, 8); v >>= n; memcpy(p, &v, 8); }
    else if (kind == 'b') for (int i = 0; i < 9; i++) { uint32_t high = random32() % 10; p[i] = high << 4 | random32() % 10; }
}

static void make(struct case_ *c, char kind, int plain)
{
    uint32_t r = random32();
    uint32_t masks = (r & 1) || plain ? 0x3f : (r >> 1) & 0x3f;
    memset(c, 0, sizeof *c);
    c->in.fcw = 0xffff0000 | 0x40 | masks | ((r >> 8) & 0x1f00);
    if (plain) c->in.fcw |= 0x300;
    c->in.fsw = 0xffff0000 | ((r >> 16) & 0x7f00);
    if ((random32() & 3) == 0) c->in.fsw |= random32() & masks;
    c->in.ftw = 0xffff0000;
    if ((random32() & 3) == 0 && !plain) { uint32_t t = random32() & random32(); for (int i = 0; i < 8; i++) if (t >> i & 1) c->in.ftw |= 3 << (i * 2); }
    for (int i = 0; i < 8; i++) {
        if (i && (random32() & 3) == 0) near80(c->in.st + i * 10, c->in.st); else operand80(c->in.st + i * 10);
    }
    memory(c->mem, kind);
    c->flags = random32() & 0x8d5;
}

/* op: first byte, second byte (modrm) << 8; memory forms use [rdi] */
struct op { uint8_t a, b; char kind; };
static struct op ops[600];
static int op_count;
static void add(int a, int b, char kind) { ops[op_count++] = (struct op){ a, b, kind }; }
static int transcendental(struct op o) { return o.a == 0xd9 && (o.b == 0xf0 || o.b == 0xf1 || o.b == 0xf2 || o.b == 0xf3 || o.b == 0xf9 || o.b == 0xfb || o.b == 0xfe || o.b == 0xff); }

static void list(void)
{
    for (int d = 0; d < 8; d++) { add(0xd8, 7 | d << 3, 'f'); add(0xdc, 7 | d << 3, 'd'); add(0xda, 7 | d << 3, 'i'); add(0xde, 7 | d << 3, 'i'); }
    add(0xd9, 7, 'f'); add(0xd9, 0x17, '-'); add(0xd9, 0x1f, '-'); add(0xd9, 0x2f, 'c'); add(0xd9, 0x3f, '-');
    add(0xdb, 7, 'i'); add(0xdb, 0x0f, '-'); add(0xdb, 0x17, '-'); add(0xdb, 0x1f, '-'); add(0xdb, 0x2f, 't'); add(0xdb, 0x3f, '-');
    add(0xdd, 7, 'd'); add(0xdd, 0x0f, '-'); add(0xdd, 0x17, '-'); add(0xdd, 0x1f, '-'); add(0xdd, 0x3f, '-');
    add(0xdf, 7, 'i'); add(0xdf, 0x0f, '-'); add(0xdf, 0x17, '-'); add(0xdf, 0x1f, '-'); add(0xdf, 0x27, 'b'); add(0xdf, 0x2f, 'q'); add(0xdf, 0x37, '-'); add(0xdf, 0x3f, '-');
    for (int d = 0xc0; d < 0x100; d += 8) for (int i = 0; i < 8; i += i ? 4 : 1) {
        add(0xd8, d + i, '-'); add(0xdc, d + i, '-'); add(0xde, d + i, '-');
        if (d == 0xd8) { op_count--; if (i == 1) add(0xde, 0xd9, '-'); }
        if (d == 0xc0 || d == 0xc8 || d == 0xd8) add(0xd9, d + i, '-');
        if (d <= 0xd8) { add(0xda, d + i, '-'); add(0xdb, d + i, '-'); }
        if (d == 0xe8 || d == 0xf0) { add(0xdb, d + i, '-'); add(0xdf, d + i, '-'); }
        if (d <= 0xe8) add(0xdd, d + i, '-');
        if (d <= 0xd8) add(0xdf, d + i, '-');
    }
    add(0xd9, 0xd0, '-'); add(0xda, 0xe9, '-'); add(0xdf, 0xe0, '-');
    add(0xdb, 0xe2, '-'); add(0xdb, 0xe3, '-');
    for (int b = 0xe0; b < 0x100; b++) if (b != 0xe2 && b != 0xe3 && b != 0xe6 && b != 0xe7 && b != 0xef) add(0xd9, b, '-');
}

static uint8_t *code;
static void run(struct op o, const struct case_ *c, struct image *out, uint8_t *mem, uint32_t *flags, uint32_t *ax)
{
    uint8_t *p = code;
    static const uint8_t head[] = { 0xdd, 0x26 /* frstor [rsi] */, 0x52, 0x9d /* push rdx; popfq */ };
    static const uint8_t tail[] = { 0xdd, 0x36 /* fnsave [rsi] */, 0x9c, 0x59 /* pushfq; pop rcx */, 0x41, 0x89, 0x08 /* mov [r8],ecx */, 0xdb, 0xe3, 0xc3 };
    memcpy(p, head, sizeof head); p += sizeof head;
    *p++ = o.a; *p++ = o.b;
    memcpy(p, tail, sizeof tail);
    *out = c->in;
    memcpy(mem, c->mem, 16);
    uint64_t rax = 0;
    register uint32_t *r8 asm("r8") = flags;
    asm volatile("call *%5" : "+a"(rax) : "S"(out), "D"(mem), "d"((uint64_t)c->flags | 0x202), "r"(r8), "r"(code) : "rcx", "memory", "cc");
    *ax = rax; *flags &= 0x8d5;
}

int main(int argc, char **argv)
{
    int cases = argc > 1 ? atoi(argv[1]) : 400, dump = argc > 2 && !strcmp(argv[2], "dump"), samples = argc > 2 && !strcmp(argv[2], "samples");
    code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    list();
    for (int n = 0; n < op_count; n++) {
        struct op o = ops[n];
        uint32_t hash = 0x811c9dc5;
        if (samples != transcendental(o) && !dump) continue;
        if (samples) printf("  [0x%02x%02x, \"", o.a, o.b);
        seed = 0x12345678 ^ (o.a * 0x01010101u) ^ ((uint32_t)o.b << 20 | o.b);
        for (int i = 0; i < cases; i++) {
            struct case_ c;
            struct image out;
            struct result r;
            make(&c, o.kind, transcendental(o) && !(i & 3));
            uint8_t mem[16];
            uint32_t flags, ax;
            run(o, &c, &out, mem, &flags, &ax);
            memset(&r, 0, sizeof r);
            r.op = o.a | o.b << 8 | o.kind << 16;
            r.in_fcw = c.in.fcw & 0xffff; r.in_fsw = c.in.fsw & 0xffff; r.in_ftw = c.in.ftw & 0xffff; r.in_flags = c.flags;
            memcpy(r.in_st, c.in.st, 80); memcpy(r.in_mem, c.mem, 16);
            r.fcw = out.fcw & 0xffff; r.fsw = out.fsw & 0xffff; r.ftw = out.ftw & 0xffff; memcpy(r.st, out.st, 80); memcpy(r.mem, mem, 16);
            r.flags = flags; r.ax = ax;
            if (dump) fwrite(&r, sizeof r, 1, stdout);
            const uint8_t *b = (const uint8_t *)&r.fcw;
            for (size_t k = 0; k < sizeof r - (b - (const uint8_t *)&r); k++) hash = (hash ^ b[k]) * 0x01000193;
            if (samples) {
                printf("%s%04x ", i ? "," : "", r.fsw);
                for (int k = 9; k >= 0; k--) printf("%02x", r.st[k]);
                putchar(' ');
                for (int k = 19; k >= 10; k--) printf("%02x", r.st[k]);
            }
        }
        if (samples) printf("\"],\n");
        if (!dump && !samples) printf("  [0x%02x%02x, \"%c\", 0x%08x],\n", o.a, o.b, o.kind, hash);
    }
    return 0;
}
