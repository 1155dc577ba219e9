; Uses pc-testdev as a kernel's tests do: the latch behind both ranges of ports, its memory, an interrupt line. Ends by isa-debug-exit with the
; number of what went right.
bits 16
org 7c00h
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 7c00h
        mov bp, 0
        ; the latch, as a dword, a word, and bytes of the other range
        mov dx, 0e0h
        mov eax, 12345678h
        out dx, eax
        mov dx, 0e2h
        in ax, dx
        cmp ax, 1234h
        jne .memory
        mov dx, 0e9h
        in al, dx
        cmp al, 56h
        jne .memory
        inc bp
.memory:
        ; 4 GiB limits, then the memory at FF000000h
        cli
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        mov bx, 8
        mov es, bx
        and al, 0feh
        mov cr0, eax
        mov edi, 0ff000010h
        mov dword [es:edi], 0cafe0001h
        cmp word [es:edi + 2], 0cafeh
        jne .line
        inc bp
.line:
        ; IRQ 5 is vector 0Dh
        mov word [0dh * 4], handler
        mov word [0dh * 4 + 2], 0
        in al, 21h
        and al, 0dfh
        out 21h, al
        sti
        mov dx, 2005h
        mov al, 1
        out dx, al
        nop
        cmp byte [came], 1
        jne .end
        inc bp
.end:
        mov ax, bp
        mov dx, 0f4h
        out dx, al
        cli
        hlt
handler:
        push ax
        push dx
        inc byte [came]
        mov dx, 2005h
        xor al, al
        out dx, al
        mov al, 20h
        out 20h, al
        pop dx
        pop ax
        iret
came:   db 0
align 8
gdt:    dq 0
        dq 00cf92000000ffffh
gdtr:   dw 15
        dd gdt
times 510-($-$$) db 0
dw 0aa55h
