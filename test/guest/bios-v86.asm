; BIOS stubs under a monitor: virtual-8086 mode with ROM pages, the display's page and a disk buffer remapped, 16-bit protected mode, ring 3,
; shadow RAM. A byte of results for each test from 0:0600 (1: right), then 5Ah. Everything is flat in the first megabyte; ring 0 is 32-bit.
;  0 the ROM's last page mapped to a copy in RAM: INT 12h answers as in real mode
;  1 another part of the copy changed: it still answers
;  2 the stub itself changed, its VMCALL left: the guest's own code, #UD
;  3 a VMCALL of the guest's in RAM: #UD
;  4 the display's page mapped to RAM: INT 10h writes there, and not to the display
;  5 the same page where it belongs: to the display
;  6 INT 13h into a page that programs may not write: nothing is changed
;  7 INT 13h into another one: it arrives, and the page is dirty
;  8 a jump to POST: #UD, for its code would load what a program may not
;  9 INT 15h/89h: fails (AH = FFh, CF)
; 10 16-bit protected mode, ring 0: the stub answers, at its linear address with a copy of the page under it
; 11 16-bit protected mode, ring 0: and at another linear address with the ROM under it
; 12 16-bit protected mode, ring 3: #UD
; 13 real mode, shadow RAM with the stub changed: #UD
; 14 real mode, shadow RAM with the ROM's content: it answers
; 15 INT 19h in V86: the boot sector starts in V86
STUB12 equ 0xf841
POST equ 0xe05b
RESULT equ 0x600
PD equ 0x20000
PT equ 0x21000
COPY equ 0x80000
CELLS equ 0x90000
BUFFER equ 0x50000
STACK0 equ 0x7000
TSS equ 0x6900
org 0x7c00
bits 16
    cli
    xor ax, ax
    mov ds, ax
    cmp byte [again], 1
    je booted
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov [drive], dl
    sti
    mov ax, 0x0208
    mov bx, 0x7e00
    mov cx, 2
    xor dh, dh
    int 0x13
    jmp start
booted:
    smsw ax                     ; PE: virtual-8086 mode it is
    and ax, 1
    int 0x60
drive: db 0
again equ 0x5f0
    times 510-($-$$) db 0
    dw 0xaa55

start:
    mov byte [again], 0
    int 0x12
    mov [expected], ax
    mov di, RESULT
    xor ax, ax
    mov cx, 32
    rep stosw
    mov ax, 0xff00              ; FF000 to 80000
    mov ds, ax
    mov ax, COPY >> 4
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 2048
    cld
    rep movsw
    mov ax, PD >> 4             ; the first 4 MiB
    mov es, ax
    xor di, di
    mov ds, di
    mov eax, PT | 7
    stosd
    mov di, 0x1000
    mov eax, 7
    mov cx, 1024
.p: stosd
    add eax, 0x1000
    loop .p
    ; real mode first: shadow RAM (440FX, PAM0 in register 59h)
    cli
    mov dword [6 * 4], undefined16
    mov al, 0x20                ; writes only: the RAM gets the ROM's content
    call pam
    mov al, 0x30
    call pam
    call ask
    mov [RESULT + 14], al
    mov ax, 0xf000
    mov fs, ax
    mov byte [fs:STUB12 + 4], 0x42
    mov byte [ud], 0
    pushf
    push cs
    push word .back
    push word 0xf000
    push word STUB12
    retf
.back:
    mov al, [ud]
    mov [RESULT + 13], al
    xor al, al
    call pam
    cli
    lgdt [gdtr]
    lidt [idtr]
    mov eax, PD
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010001          ; with WP
    mov cr0, eax
    jmp 8:ring0

; AL = PAM0
pam:
    push ax
    mov dx, 0xcf8
    mov eax, 0x80000058
    out dx, eax
    pop ax
    mov dx, 0xcfd
    out dx, al
    ret
; AL = 1 when INT 12h's stub answers
ask:
    mov ax, 0xdead
    pushf
    push cs
    call .far
    cmp ax, [expected]
    sete al
    ret
.far:
    push word 0xf000
    push word STUB12
    retf
undefined16:                    ; #UD in real mode: past the stub, to whoever called it
    mov byte [cs:ud], 1
    add sp, 6
    iret

; ---- programs in virtual-8086 mode; each ends with INT 60h, AL = its result
v_int12:
    mov ax, 0xdead
    pushf
    call far [stub]
    cmp ax, [expected]
    sete al
    int 0x60
v_own:
    vmcall
    int 0x60
v_print:
    mov ax, 0x0e57              ; 'W'
    mov bx, 7
    pushf
    call far [cs:0x10 * 4]
    int 0x60
v_read:
    mov ax, BUFFER >> 4
    mov es, ax
    xor bx, bx
    mov ax, 0x0201
    mov cx, 1
    mov dh, 0
    mov dl, [drive]
    pushf
    call far [cs:0x13 * 4]
    int 0x60
v_post:
    jmp 0xf000:POST
v_boot:
    pushf
    call far [cs:0x19 * 4]
v_enter:
    mov ax, 0x8900
    mov si, gdt
    push ds
    pop es
    pushf
    call far [cs:0x15 * 4]
    setc al
    and al, ah                  ; AH = FFh
    and al, 1
    int 0x60
stub: dw STUB12, 0xf000

; ---- protected mode, 16 bits
p_near:                         ; CS:IP = linear F000:F841
    mov ax, 0xdead
    pushf
    push cs
    push word .back
    push word 0x30              ; base F0000h
    push word STUB12
    retf
.back:
    cmp ax, [expected]
    sete al
    int 0x60
p_high:                         ; linear 3F0000h, where the ROM is mapped once more
    mov ax, 0xdead
    pushf
    push cs
    push word p_near.back
    push word 0x38
    push word STUB12
    retf
u_near:
    pushf
    push cs
    push word p_near.back
    push word 0x43
    push word STUB12
    retf

bits 32
; Runs a program of each kind; comes back behind the call with its result in AL, or 80h and the vector of its exception.
virtual:                        ; AX = offset
    mov [resume_esp], esp
    push dword 0
    push dword 0
    push dword 0
    push dword 0
    push dword 0
    push dword 0x7b00
    push dword 0x23002
    push dword 0
    movzx eax, ax
    push eax
    iretd
protected16:
    mov [resume_esp], esp
    push dword 2
    push dword 0x20
    movzx eax, ax
    push eax
    iretd
user16:
    mov [resume_esp], esp
    push dword 0x53
    push dword 0x7b00
    push dword 2
    push dword 0x4b
    movzx eax, ax
    push eax
    iretd
program_ends:
    mov bl, al
    jmp resume
undefined:
    mov bl, 0x86
    jmp resume
general:
    mov bl, 0x8d
    jmp resume
fault:
    mov bl, 0x8e
resume:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, [resume_esp]
    mov al, bl
    ret
flush:
    mov eax, cr3
    mov cr3, eax
    ret
; result of test %1: AL = %2
%macro expect 2
    cmp al, %2
    sete [RESULT + %1]
%endmacro

ring0:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x6800
    mov edi, TSS
    mov ecx, 26
    xor eax, eax
    rep stosd
    mov dword [TSS + 4], STACK0
    mov dword [TSS + 8], 0x10
    mov ax, 0x28
    ltr ax
    mov dword [PT + 0xff * 4], COPY | 7
    call flush
    mov ax, v_int12
    call virtual
    expect 0, 1
    mov byte [COPY + 0x100], 0x42
    mov ax, v_int12
    call virtual
    expect 1, 1
    mov ax, p_near
    call protected16
    expect 10, 1
    mov ax, u_near
    call user16
    expect 12, 0x86
    mov byte [COPY + (STUB12 & 0xfff) + 4], 0x42
    mov ax, v_int12
    call virtual
    expect 2, 0x86
    mov dword [PT + 0xff * 4], 0xff007
    mov dword [PT + 0x3ff * 4], 0xff007
    call flush
    mov ax, v_own
    call virtual
    expect 3, 0x86
    mov ax, p_high
    call protected16
    expect 11, 1
    ; the display
    call count_w
    mov dl, cl
    mov dword [PT + 0xb8 * 4], CELLS | 7
    call flush
    mov ecx, 1024
    xor eax, eax
    mov edi, CELLS
    rep stosd
    mov ax, v_print
    call virtual
    mov dword [PT + 0xb8 * 4], 0xb8007
    call flush
    mov esi, CELLS
    call count
    cmp cl, 1
    sete al
    call count_w
    cmp cl, dl
    sete ah
    and al, ah
    mov [RESULT + 4], al
    mov ax, v_print
    call virtual
    call count_w
    inc dl
    cmp cl, dl
    sete [RESULT + 5]
    ; disk buffers
    mov dword [BUFFER], 0x11223344
    mov dword [PT + (BUFFER >> 12) * 4], BUFFER | 5
    call flush
    mov ax, v_read
    call virtual
    cmp dword [BUFFER], 0x11223344
    sete [RESULT + 6]
    mov dword [PT + (BUFFER >> 12) * 4], BUFFER | 7
    call flush
    mov ax, v_read
    call virtual
    mov ecx, [0x7c00]
    cmp [BUFFER], ecx
    sete al
    bt dword [PT + (BUFFER >> 12) * 4], 6
    setc ah
    and al, ah
    mov [RESULT + 7], al
    mov ax, v_post
    call virtual
    expect 8, 0x86
    mov ax, v_enter
    call virtual
    expect 9, 1
    mov byte [again], 1
    mov al, 0xff                ; it starts with interrupts on
    out 0x21, al
    out 0xa1, al
    mov ax, v_boot
    call virtual
    expect 15, 1
    mov byte [RESULT + 16], 0x5a
    cli
    hlt
; CL = how many 'W's the display shows, or the page at ESI
count_w:
    mov esi, 0xb8000
count:
    xor ecx, ecx
.n: cmp byte [esi], 'W'
    jne .o
    inc ecx
.o: add esi, 2
    test esi, 0xfff
    jnz .n
    ret

align 8
gdt:
    dq 0
    dq 0x00cf9a000000ffff       ; 08 ring 0, 32 bits
    dq 0x00cf92000000ffff       ; 10
    dq 0
    dq 0x00009a000000ffff       ; 20 ring 0, 16 bits
    dw 0x67, TSS                ; 28
    db 0, 0x89, 0, 0
    dq 0x00009a0f0000ffff       ; 30 F0000h, 16 bits
    dq 0x00009a3f0000ffff       ; 38 3F0000h, 16 bits
    dq 0x0000fa0f0000ffff       ; 40 F0000h, 16 bits, ring 3
    dq 0x0000fa000000ffff       ; 48 ring 3, 16 bits
    dq 0x0000f2000000ffff       ; 50
gdtr: dw $ - gdt - 1
    dd gdt
%macro gate 1
    dw %1, 8, 0xee00, 0
%endmacro
idt:
    times 6 dq 0
    gate undefined
    times 6 dq 0
    gate general
    gate fault
    times 0x60 - 15 dq 0
    gate program_ends
idtr: dw $ - idt - 1
    dd idt
expected: dw 0
resume_esp: dd 0
ud: db 0
