; The local APIC's timer as a guest sees it between two slices of the machine. From 0:0600: 1 when a one-shot count that has run out stays at zero
; as the LVT is made periodic; 1 when a TSC deadline that has passed interrupts before the next instruction; 1 when an interrupt of the one-shot
; count is there when the count reads zero (within a few instructions); 5Ah.
bits 16
org 0x7c00
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:pm
bits 32
pm: mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    mov dword [0x2000 + 0x40 * 8], (8 << 16) + (isr - $$ + 0x7c00)
    mov dword [0x2004 + 0x40 * 8], 0x8e00
    lidt [idtr]
    mov dword [0x600], 0
    mov dword [0xfee000f0], 0x1ff
    mov dword [0xfee003e0], 0x0b
    mov dword [0xfee00320], 0x10040     ; masked, one-shot
    mov dword [0xfee00380], 0x20000
.w: cmp dword [0xfee00390], 0
    jne .w
    mov dword [0xfee00320], 0x30040     ; masked, periodic
    mov bl, 1
    mov ecx, 200
.l: cmp dword [0xfee00390], 0
    je .n
    mov bl, 0
.n: loop .l
    mov [0x600], bl
    mov dword [0xfee00320], 0x40040     ; TSC deadline
    mov byte [flag], 0
    sti
    nop
    rdtsc
    mov ecx, 0x6e0
    wrmsr
    mov bl, [flag]
    mov [0x601], bl
    mov dword [0xfee00320], 0x40        ; one-shot
    mov byte [flag], 0
    mov dword [0xfee00380], 0x20000
.x: cmp dword [0xfee00390], 0
    jne .x
    mov bl, [flag]
    mov [0x602], bl
    mov byte [0x603], 0x5a
    cli
    hlt
isr:
    mov byte [flag], 1
    mov dword [0xfee000b0], 0
    iretd
flag: db 0
align 8
gdt: dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr: dw $ - gdt - 1
    dd gdt
idtr: dw 0x7ff
    dd 0x2000
    times 510-($-$$) db 0
    dw 0xaa55
