; A boot sector that runs a copy of the ROM, where traps are plain OUTs, as an interpreter inside a guest would run it. Each call is made
; natively and in the copy; a byte from 0:0600 on says whether all registers and FLAGS came back the same.
bits 16
org 0x7c00
copy equ 0x3000
start:
    xor ax, ax
    mov ss, ax
    mov sp, 0x7c00
    mov ax, 0xf000
    mov ds, ax
    mov ax, copy
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 0x8000
    cld
    rep movsw
    xor ax, ax
    mov ds, ax
    mov es, ax
    sti
    mov si, calls
    mov di, 0x600
next:
    mov al, [si]
    or al, al
    jz done
    mov [.native + 1], al
    push si
    push di
    call load
.native: int 0
    call keep
    mov [0x500], esi
    pop di
    pop si
    push si
    push di
    mov bx, [si]
    xor bh, bh
    shl bx, 2
    mov ax, [bx]                ; the vector's entry, in the copy
    mov [far_call], ax
    mov word [far_call + 2], copy
    call load
    pushf
    call far [cs:far_call]
    call keep
    pop di
    pop si
    push si
    push di
    mov si, first
    mov di, second
    mov cx, (second - first) / 2
    repe cmpsw
    pop di
    pop si
    sete [di]
    inc di
    add si, 15
    jmp next
done:
    mov byte [di], 0x5a
    cli
    hlt
; registers of the call at SI: AX BX CX DX, SI, DI, ES
load:
    mov word [where], first
    mov ax, [si + 13]
    mov es, ax
    mov ax, [si + 1]
    mov bx, [si + 3]
    mov cx, [si + 5]
    mov dx, [si + 7]
    mov di, [si + 11]
    mov si, [si + 9]
    mov ebp, 0x12345678
    stc
    ret
; AX BX CX DX SI DI BP ES FLAGS to `first`, or to `second` when `first` is taken
keep:
    pushf
    push es
    pushad
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov di, first
    xor byte [turn], 1
    jnz .here
    mov di, second
.here:
    mov si, sp
    mov cx, 18                  ; PUSHAD, ES, FLAGS
    rep movsw
    and word [di - 2], 0x0241   ; IF, ZF, CF
    mov dword [di - 24], 0      ; ESP
    popad
    pop es
    popf
    xor cx, cx
    mov es, cx
    ret
turn: db 0
where: dw 0
far_call: dd 0
calls:
    db 0x15
    dw 0xe801, 0, 0, 0, 0, 0, 0
    db 0x15
    dw 0xc000, 1, 2, 3, 4, 5, 0x6000
    db 0x15
    dw 0x7700, 1, 2, 3, 4, 5, 0x6000
    db 0x12
    dw 0, 1, 2, 3, 4, 5, 0x6000
    db 0x11
    dw 0, 1, 2, 3, 4, 5, 0x6000
    db 0x10
    dw 0x1130, 0x0600, 2, 3, 4, 5, 0x6000
    db 0x10
    dw 0x4f01, 0, 0x118, 3, 4, 0, 0x6000
    db 0x16
    dw 0x0900, 1, 2, 3, 4, 5, 0x6000
    db 0x1a
    dw 0xb101, 1, 2, 3, 4, 5, 0x6000
    db 0x13
    dw 0x0800, 1, 2, 0x80, 4, 5, 0x6000
    db 0x13
    dw 0x0201, 0x200, 1, 0, 4, 5, 0x6000
    db 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
first equ 0x900
second equ first + 36
