; Suspends to RAM (ACPI S3) by the tables' addresses, three times: woken by the RTC's alarm, by the power button, by a key. Letters go to port E9h.
bits 16
org 7c00h
MAGIC equ 5a17c0deh
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 7c00h
        call flat
        ; RSDP, RSDT, FADT
        mov ax, 0f000h
        mov ds, ax
        xor si, si
.rsdp:  cmp dword [si], 'RSD '
        jne .next
        cmp dword [si + 4], 'PTR '
        je .found
.next:  add si, 16
        jnz .rsdp
        jmp fail
.found: mov ebx, [si + 16]
        xor ax, ax
        mov ds, ax
.table: mov edi, [es:ebx + 36]
        add ebx, 4
        cmp dword [es:edi], 'FACP'
        jne .table
        mov eax, [es:edi + 36]
        mov [facs], eax
        mov ax, [es:edi + 56]
        mov [event], ax
        mov ax, [es:edi + 64]
        mov [control], ax
        mov dx, [es:edi + 48]
        mov al, [es:edi + 52]
        out dx, al              ; ACPI on
        ; an alarm each second
        mov si, alarm
.cmos:  lodsb
        cmp al, 0ffh
        je .armed
        out 70h, al
        lodsb
        out 71h, al
        jmp .cmos
.armed: mov al, 0ch
        out 70h, al
        in al, 71h
        mov ax, 0400h           ; RTC_EN
        call sleep
        jmp fail

alarm:  db 1, 0c0h, 3, 0c0h, 5, 0c0h, 0bh, 22h, 0ffh

; AX: PM1 enable. Sleeps in S3; wakes in `woken`.
sleep:  mov dword [9000h], MAGIC
        mov dx, [event]
        push ax
        mov ax, 0ffffh
        out dx, ax
        pop ax
        add dx, 2
        out dx, ax
        mov edi, [facs]
        mov dword [es:edi + 12], woken
        mov al, 's'
        out 0e9h, al
        mov dx, [control]
        mov ax, 2401h
        out dx, ax
        mov al, 'x'             ; not reached
        out 0e9h, al
        ret

flat:   lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        mov bx, 8
        mov es, bx
        and al, 0feh
        mov cr0, eax
        ret

align 16
woken:  cli
        jmp 0:.here
.here:  xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 7c00h
        call flat
        cmp dword [9000h], MAGIC
        jne fail
        mov dx, [event]
        in ax, dx
        test ah, 80h            ; WAK_STS
        jz fail
        mov bl, 'a'
        test ah, 4              ; RTC_STS
        jnz .say
        mov bl, 'b'
        test ah, 1              ; PWRBTN_STS
        jnz .say
        mov bl, 'k'
.say:   mov al, bl
        out 0e9h, al
        inc byte [times_]
        cmp byte [times_], 3
        je finish
        xor ax, ax
        call sleep
fail:   mov al, '!'
        out 0e9h, al
        mov al, 1
        jmp end
finish: xor al, al
end:    mov dx, 0f4h
        out dx, al
        hlt
times_: db 0
event:  dw 0
control: dw 0
facs:   dd 0
align 8
gdt:    dq 0
        dq 00cf92000000ffffh
gdtr:   dw 15
        dd gdt
%if ($-$$) > 510
%error too long
%endif
times 510-($-$$) db 0
dw 0aa55h
