; A boot sector that hooks INT 13h and INT 40h and counts what each of them sees. Results from 0:0600.
bits 16
org 0x7c00
seen13 equ 0x600                ; number of calls; then AH and DL of each, from 610h
seen40 equ 0x602                ; the same, from 680h
verdict equ 0x604               ; a byte a check: 1 good
start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov di, 0x600
    mov cx, 0x80
    rep stosw
    ; before any hook: POST's own INT 40h
    cmp dword [0x40 * 4], 0xf000ec59
    sete [verdict]
    mov eax, [0x13 * 4]
    mov [old13], eax
    mov eax, [0x40 * 4]
    mov [old40], eax
    mov word [0x13 * 4], hook13
    mov [0x13 * 4 + 2], cs
    mov word [0x40 * 4], hook40
    mov [0x40 * 4 + 2], cs

    mov ax, 0x0201              ; a floppy sector: both see it; registers and stack stay, CF and AX come back
    mov bx, 0x8000
    mov cx, 0x0002
    mov dx, 0x0000
    mov si, 0x1111
    mov di, 0x2222
    mov bp, 0x3333
    stc
    int 0x13
    jc .no1
    cmp ax, 0x0001
    jne .no1
    cmp bx, 0x8000
    jne .no1
    cmp cx, 0x0002
    jne .no1
    cmp si, 0x1111
    jne .no1
    cmp di, 0x2222
    jne .no1
    cmp bp, 0x3333
    jne .no1
    cmp sp, 0x7c00
    jne .no1
    cmp word [0x8000], 0xbeef
    sete [verdict + 1]
.no1:
    mov ax, 0x0201              ; an error's CF goes through both hooks
    mov cx, 0x003f
    clc
    int 0x13
    setc [verdict + 2]
    mov ax, 0x4100              ; the hard disk: INT 40h does not see it
    mov bx, 0x55aa
    mov dl, 0x80
    int 0x13
    cmp bx, 0xaa55
    sete [verdict + 3]
    xor ax, ax
    mov dl, 0x80
    int 0x13
    mov ax, 0x4b01              ; El Torito, whatever DL says: not for the diskette BIOS
    xor dx, dx
    mov si, 0x7000
    int 0x13
    setc [verdict + 4]
    mov ax, 0x0201              ; the caller's IF does not get lost
    mov bx, 0x8000
    mov cx, 0x0001
    xor dx, dx
    cli
    int 0x13
    pushf
    pop ax
    test ah, 2
    setnz [verdict + 5]
    mov ah, 0x08                ; straight to the diskette BIOS and to the documented entry of INT 13h
    xor dx, dx
    int 0x40
    cmp dl, 1
    sete [verdict + 6]
    push es
    mov ah, 0x08
    mov dl, 0x80
    pushf
    call 0xf000:0xe3fe
    pop es
    cmp dl, 1
    sete [verdict + 7]
    mov byte [verdict + 8], 0x5a
    cli
    hlt

hook13:
    push di
    mov di, [cs:seen13]
    shl di, 1
    mov [cs:di + 0x610], ah
    mov [cs:di + 0x611], dl
    inc word [cs:seen13]
    pop di
    jmp far [cs:old13]
hook40:
    push di
    mov di, [cs:seen40]
    shl di, 1
    mov [cs:di + 0x680], ah
    mov [cs:di + 0x681], dl
    inc word [cs:seen40]
    pop di
    jmp far [cs:old40]
old13: dd 0
old40: dd 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
    dw 0xbeef                   ; sector 2
