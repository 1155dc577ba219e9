; A boot sector that closes and opens the A20 gate in each of three ways: INT 15h/24xx, port 92h, 8042 command D1h. For each of the nine pairs
; a byte from 0:0600: bit 0 set when 0:0500 and FFFF:0510 were one byte while closed and 2402h said so, bit 1 when they were two bytes after
; opening and 2402h said so. Then three bytes about a block move (INT 15h/87h) while it is closed: no error, not wrapped, arrived.
bits 16
org 0x7c00
start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    cld
    sti
    mov di, 0x600
    xor bx, bx                  ; way to close
.close:
    xor bp, bp                  ; way to open
.open:
    mov byte [di], 0
    mov al, 0
    mov si, bx
    call way
    call aliased
    jne .not_closed
    mov ax, 0x2402
    int 0x15
    jc .not_closed
    or al, al
    jnz .not_closed
    or byte [di], 1
.not_closed:
    mov al, 1
    mov si, bp
    call way
    call aliased
    je .not_open
    mov ax, 0x2402
    int 0x15
    cmp al, 1
    jne .not_open
    or byte [di], 2
.not_open:
    inc di
    add bp, 2
    cmp bp, 6
    jb .open
    add bx, 2
    cmp bx, 6
    jb .close
    ; a block move from 7C00h to 100500h past the closed gate
    mov al, 0
    call int15
    mov byte [0x500], 0x33
    mov ah, 0x87
    mov cx, 2
    mov si, table
    int 0x15
    setnc [di]
    cmp byte [0x500], 0x33
    sete [di + 1]
    mov al, 1
    call int15
    mov ax, 0xffff
    mov ds, ax
    mov eax, [0x510]
    mov ds, [cs:zero]
    cmp eax, [start]
    sete [di + 2]
    mov byte [di + 3], 0x5a
    cli
    hlt
zero: dw 0
table:
    times 16 db 0
    dw 0xffff, 0x7c00, 0x9300, 0
    dw 0xffff, 0x0500, 0x9310, 0
    times 16 db 0
way:
    jmp [ways + si]
ways: dw int15, port92, kbc
int15:
    mov ah, 0x24
    int 0x15
    ret
port92:
    mov ah, al
    shl ah, 1
    in al, 0x92
    and al, 0xfc
    or al, ah
    out 0x92, al
    ret
kbc:
    shl al, 1
    or al, 0xdd
    mov ah, al
    call empty
    mov al, 0xd1
    out 0x64, al
    call empty
    mov al, ah
    out 0x60, al
    call empty
    ret
empty:
    in al, 0x64
    test al, 2
    jnz empty
    ret
; ZF: 0:0500 and FFFF:0510 are the same byte
aliased:
    push ds
    mov ax, 0xffff
    mov ds, ax
    mov byte [0x510], 0x11
    mov byte [es:0x500], 0x22
    cmp byte [0x510], 0x22
    pop ds
    ret
    times 510 - ($ - $$) db 0
    dw 0xaa55
