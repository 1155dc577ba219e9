; The demonstration disk's boot sector: loads the second stage with INT 13h extensions and jumps to it.
; Licence: BSD-2-Clause, as the project.
        bits 16
        org 7C00h

STAGE2_SEGMENT  equ 0800h               ; linear 8000h, entered as 0000:8000
%ifndef STAGE2_SECTORS
%define STAGE2_SECTORS 16
%endif

start:
        jmp short main
        nop
        times 3Eh - ($ - $$) db 0       ; room where a file system would keep its parameters
main:
        cli
        xor ax, ax
        mov ss, ax
        mov sp, 7C00h
        mov ds, ax
        sti
        cld
        mov [drive], dl
        mov si, loading
        call print
        mov ah, 41h                     ; extensions present?
        mov bx, 55AAh
        mov dl, [drive]
        int 13h
        jc chs
        cmp bx, 0AA55h
        jne chs
        mov si, packet
        mov ah, 42h
        mov dl, [drive]
        int 13h
        jc failed
        jmp run
chs:    mov ax, 0200h | STAGE2_SECTORS  ; a floppy: the sectors lie on the first track
        mov bx, STAGE2_SEGMENT
        mov es, bx
        xor bx, bx
        mov cx, 0002h
        xor dh, dh
        mov dl, [drive]
        int 13h
        jc failed
run:    mov dl, [drive]
        jmp 0:STAGE2_SEGMENT*16

failed: mov si, broken
        call print
.wait:  hlt
        jmp .wait

print:  lodsb
        test al, al
        jz .done
        mov ah, 0Eh
        mov bx, 7
        int 10h
        jmp print
.done:  ret

loading db "whyve demo: loading...", 13, 10, 0
broken  db "disk error", 13, 10, 0
drive   db 0
        align 4
packet  db 16, 0
        dw STAGE2_SECTORS
        dw 0, STAGE2_SEGMENT
        dq 1

        times 440 - ($ - $$) db 0
        dd 65766877h                    ; disk signature "whve"
        dw 0
        ; One active partition that holds the second stage, so that the table looks like any disk's.
        db 80h, 0, 2, 0, 7Fh, 0, 63, 0
        dd 1, 62
        times 510 - ($ - $$) db 0
        dw 0AA55h
