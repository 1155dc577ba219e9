; The demonstration disk's second stage. Real mode at 0000:8000, all segments 0, DL = boot drive.
; Licence: BSD-2-Clause, as the project.
        bits 16
        org 8000h

PML4    equ 10000h                      ; page tables of the long-mode visit
MAP     equ 7000h                       ; one E820 entry

%macro say 1
        mov si, %1
        call print
%endmacro

        jmp near main
interactive db 0                        ; offset 3: the host sets 1 when a person is watching
drive   db 0

main:   xor ax, ax
        mov ds, ax
        mov es, ax
        mov [drive], dl
        call page_welcome
        call page_memory
        call page_disks
        call page_text
        call page_clock
        call page_keyboard
        call page_graphics
        call page_long_mode
        say bye
        call power_off
        say no_apm
.stop:  cli
        hlt
        jmp .stop

; ---- pages -------------------------------------------------------------------------------------------------------

page_welcome:
        mov si, t_welcome
        call new_page
        say welcome
        jmp pause

page_memory:
        mov si, t_memory
        call new_page
        int 12h
        call print_dec
        say m_base
        say m_head
        xor ebx, ebx
.next:  mov eax, 0E820h
        mov edx, 534D4150h
        mov ecx, 20
        mov di, MAP
        int 15h
        jc .done
        cmp eax, 534D4150h
        jne .done
        push ebx
        mov eax, [MAP+4]
        call print_hex32
        mov eax, [MAP]
        call print_hex32
        say two_spaces
        mov eax, [MAP+12]
        call print_hex32
        mov eax, [MAP+8]
        call print_hex32
        say two_spaces
        mov bx, [MAP+16]
        dec bx
        and bx, 7
        cmp bx, 4
        jb .known
        mov bx, 4
.known: shl bx, 1
        mov si, [type_names+bx]
        call print
        call newline
        pop ebx
        test ebx, ebx
        jnz .next
.done:  jmp pause

page_disks:
        mov si, t_disks
        call new_page
        int 11h
        call print_hex16
        say d_equipment
        mov al, [475h]
        xor ah, ah
        call print_dec
        say d_count
        mov byte [unit], 80h
.next:  mov dl, [unit]
        mov ah, 8
        xor di, di
        int 13h
        mov [xes], es
        push word 0
        pop es
        jc .floppy
        test ah, ah
        jnz .floppy
        mov [cyl], cx
        mov [head], dh
        mov al, [unit]
        call print_hex8
        say d_drive
        mov ax, [cyl]
        xchg al, ah
        shr ah, 6
        inc ax
        call print_dec
        mov al, '/'
        call putc
        movzx ax, byte [head]
        inc ax
        call print_dec
        mov al, '/'
        call putc
        mov ax, [cyl]
        and ax, 63
        call print_dec
        mov word [edd], 1Eh             ; extensions: the number of sectors
        mov si, edd
        mov dl, [unit]
        mov ah, 48h
        int 13h
        jc .line
        say d_sectors
        mov eax, [edd+10h]
        call print_dec32
.line:  call newline
        inc byte [unit]
        cmp byte [unit], 84h
        jb .next
.floppy:
        mov dl, 0
        mov ah, 15h
        int 13h
        jc .boot
        cmp ah, 1
        je .has
        cmp ah, 2
        jne .boot
.has:   say d_floppy
.boot:  say d_boot
        mov al, [drive]
        call print_hex8
        call newline
        jmp pause

page_text:
        mov si, t_text
        call new_page
        ; All 256 attributes as a 16x16 grid straight into video memory, all 256 characters beside it.
        push word 0B800h
        pop es
        xor bx, bx                      ; BL counts through 256
.cell:  mov al, bl
        shr al, 4
        mov ah, 160
        mul ah
        add ax, 4 * 160 + 6
        mov di, ax
        movzx cx, bl
        and cx, 15
        mov ax, cx
        shl ax, 2
        push di
        add di, ax
        mov al, 0FEh
        mov ah, bl
        and ah, 7Fh
        stosw
        stosw
        pop di
        add di, 76
        mov ax, cx
        shl ax, 2
        add di, ax
        mov al, bl
        mov ah, 0Fh
        stosw
        inc bl
        jnz .cell
        push word 0
        pop es
        mov dx, 1500h
        call move
        jmp pause

page_clock:
        mov si, t_clock
        call new_page
        mov ah, 4
        int 1Ah
        mov al, ch
        call print_hex8
        mov al, cl
        call print_hex8
        mov al, '-'
        call putc
        mov al, dh
        call print_hex8
        mov al, '-'
        call putc
        mov al, dl
        call print_hex8
        mov al, ' '
        call putc
        mov ah, 2
        int 1Ah
        mov al, ch
        call print_hex8
        mov al, ':'
        call putc
        mov al, cl
        call print_hex8
        mov al, ':'
        call putc
        mov al, dh
        call print_hex8
        say c_rtc
        mov cx, 18                      ; a second of ticks, asleep between them
        mov dx, [46Ch]
.tick:  hlt
        cmp dx, [46Ch]
        je .tick
        mov dx, [46Ch]
        push cx
        push dx
        mov al, '.'
        call putc
        pop dx
        pop cx
        loop .tick
        say c_ticks
        jmp pause

page_keyboard:
        mov si, t_keyboard
        call new_page
        say k_help
        cmp byte [interactive], 0
        je .end
.key:   xor ah, ah
        int 16h
        cmp al, 27
        je .end
        push ax
        mov al, ah
        call print_hex8
        mov al, ' '
        call putc
        pop ax
        push ax
        call print_hex8
        mov al, ' '
        call putc
        pop ax
        cmp al, 32
        jb .blank
        call putc
.blank: call newline
        jmp .key
.end:   cmp byte [interactive], 0
        je pause
        ret

page_graphics:
        mov ax, 13h
        int 10h
        push word 0A000h
        pop es
        xor di, di
        xor dx, dx                      ; y
.line:  xor cx, cx                      ; x
.dot:   mov ax, cx
        xor ax, dx
        shr ax, 1
        mov bx, cx
        imul bx, dx
        shr bx, 8
        add al, bl
        and al, 7Fh
        add al, 32
        stosb
        inc cx
        cmp cx, 320
        jb .dot
        inc dx
        cmp dx, 200
        jb .line
        push word 0
        pop es
        mov dx, 0B0Ah
        call move
        mov si, g_text
.char:  lodsb
        test al, al
        jz .shown
        mov ah, 0Eh
        mov bx, 0Fh
        int 10h
        jmp .char
.shown: call wait_key
        mov ax, 3
        int 10h
        ret

page_long_mode:
        mov si, t_long
        call new_page
        mov eax, 80000000h
        cpuid
        cmp eax, 80000001h
        jb .none
        mov eax, 80000001h
        cpuid
        test edx, 1 << 29
        jz .none
        say l_enter
        call long_mode
        say l_back
        jmp pause
.none:  say l_none
        jmp pause

; ---- long mode and back ------------------------------------------------------------------------------------------

long_mode:
        cli
        mov [saved_sp], sp
        ; One PML4, one PDPT, one page directory with a 2 MB page: the first 2 MB mapped onto themselves.
        push word PML4 >> 4
        pop es
        xor di, di
        xor eax, eax
        mov cx, 3 * 1024
        rep stosd
        mov dword [es:0], PML4 + 1000h + 3
        mov dword [es:1000h], PML4 + 2000h + 3
        mov dword [es:2000h], 83h
        push word 0
        pop es
        in al, 92h
        or al, 2
        and al, 0FEh
        out 92h, al
        lgdt [gdt_pointer]
        lidt [no_idt]
        mov eax, cr4
        or eax, 1 << 5                  ; PAE
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax
        mov ecx, 0C0000080h             ; EFER.LME
        rdmsr
        or eax, 1 << 8
        wrmsr
        mov eax, cr0
        or eax, 80000001h               ; PG and PE at once: straight into long mode
        mov cr0, eax
        jmp 08h:in_long_mode

        bits 64
in_long_mode:
        mov ax, 10h
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 7000h
        mov rax, 0123456789ABCDEFh      ; 64-bit registers at work
        mov rbx, 0FEDCBA9876543210h
        add rax, rbx
        mov r15, 0FFFFFFFFFFFFFFFFh
        xor edx, edx
        cmp rax, r15
        jne .write
        mov edx, 1
.write: mov edi, 0B8000h + 8 * 160 + 8
        lea rsi, [rel in_64]
        test edx, edx
        jnz .char
        lea rsi, [rel wrong_64]
.char:  lodsb
        test al, al
        jz .cpu
        mov ah, 1Fh
        stosw
        jmp .char
.cpu:   mov edi, 0B8000h + 10 * 160 + 8
        xor r8d, r8d
.brand: mov eax, 80000002h              ; ..4: the processor's name
        add eax, r8d
        cpuid
        mov [rel brand], eax
        mov [rel brand + 4], ebx
        mov [rel brand + 8], ecx
        mov [rel brand + 12], edx
        lea rsi, [rel brand]
        mov ecx, 16
.name:  lodsb
        test al, al
        jz .named
        mov ah, 0Eh
        stosw
        loop .name
        inc r8d
        cmp r8d, 3
        jb .brand
.named: jmp dword far [rel to_compatibility]
to_compatibility:
        dd leave_long_mode
        dw 18h

        bits 16
leave_long_mode:
        mov ax, 20h
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov eax, cr0
        and eax, 7FFFFFFFh              ; paging off: out of long mode
        mov cr0, eax
        mov ecx, 0C0000080h
        rdmsr
        and eax, 0FFFFFEFFh          ; LME off
        wrmsr
        mov eax, cr4
        and eax, 0FFFFFFDFh
        mov cr4, eax
        mov eax, cr0
        and al, 0FEh
        mov cr0, eax
        jmp 0:.real
.real:  xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, [saved_sp]
        lidt [real_idt]
        sti
        mov dx, 0D00h
        jmp move

        align 8
gdt:    dq 0
        dq 00209B0000000000h            ; 08 64-bit code
        dq 00CF93000000FFFFh            ; 10 flat data
        dq 00009B000000FFFFh            ; 18 16-bit code
        dq 000093000000FFFFh            ; 20 16-bit data
gdt_pointer:
        dw $ - gdt - 1
        dd gdt
no_idt: dw 0
        dd 0
real_idt:
        dw 3FFh
        dd 0

; ---- power off ---------------------------------------------------------------------------------------------------

power_off:
        mov ax, 5300h                   ; APM there?
        xor bx, bx
        int 15h
        jc .none
        cmp bx, 504Dh
        jne .none
        mov ax, 5301h                   ; connect, real mode
        xor bx, bx
        int 15h
        mov ax, 530Eh                   ; we speak 1.2
        xor bx, bx
        mov cx, 0102h
        int 15h
        mov ax, 5307h                   ; all devices off
        mov bx, 1
        mov cx, 3
        int 15h
.none:  ret

; ---- output and input --------------------------------------------------------------------------------------------

; Clears the screen and writes the page's title (SI) into the top row.
new_page:
        mov ax, 3
        int 10h
        push si
        mov ax, 0920h
        mov bx, 1Fh
        mov cx, 80
        int 10h
        say name
        pop si
        call print
        mov dx, 0200h
        ; falls through
; Cursor to row DH, column DL.
move:   mov ah, 2
        xor bh, bh
        int 10h
        ret

; "Press a key" in the bottom row, then the wait.
pause:  mov dx, 1800h
        call move
        say press
        ; falls through
; Waits for a key: for ever with a person, half a second without.
wait_key:
        cmp byte [interactive], 0
        jne .person
        mov cx, 9
        mov dx, [46Ch]
.tick:  hlt
        cmp dx, [46Ch]
        je .tick
        mov dx, [46Ch]
        loop .tick
        ret
.person:
        xor ah, ah
        int 16h
        ret

print:  lodsb
        test al, al
        jz .done
        call putc
        jmp print
.done:  ret

newline:
        mov al, 13
        call putc
        mov al, 10
putc:   push bx
        push bp
        mov ah, 0Eh
        mov bx, 7
        int 10h
        pop bp
        pop bx
        ret

print_hex32:
        push eax
        shr eax, 16
        call print_hex16
        pop eax
print_hex16:
        push ax
        mov al, ah
        call print_hex8
        pop ax
print_hex8:
        push ax
        shr al, 4
        call .digit
        pop ax
.digit: and al, 15
        cmp al, 10
        sbb al, 69h
        das
        jmp putc

print_dec:
        movzx eax, ax
print_dec32:
        push edx
        push ecx
        mov ecx, 10
        call .next
        pop ecx
        pop edx
        ret
.next:  xor edx, edx
        div ecx
        push dx
        test eax, eax
        jz .first
        call .next
.first: pop ax
        add al, '0'
        jmp putc

; ---- texts -------------------------------------------------------------------------------------------------------

name        db " whyve demo : ", 0
t_welcome   db "welcome", 0
t_memory    db "memory map, INT 15h AX=E820h", 0
t_disks     db "disks, INT 13h", 0
t_text      db "text: 128 attributes, 256 characters", 0
t_clock     db "clock, INT 1Ah", 0
t_keyboard  db "keyboard, INT 16h", 0
t_long      db "long mode", 0
welcome     db "This is a real-mode program on a disk that boots like any other. Every", 13, 10
            db "service it calls is emulated on the host: an interrupt vector leads to a", 13, 10
            db "stub in ROM, the stub's VMCALL leaves the virtual machine, and TypeScript", 13, 10
            db "does the work on the guest's registers and memory.", 13, 10, 10
            db "The pages show the memory map, disks, text, clock, keyboard and graphics;", 13, 10
            db "then the program visits 64-bit mode and turns the machine off.", 13, 10, 0
press       db "Press a key ...", 0
m_base      db " KB base memory (INT 12h)", 13, 10, 10, 0
m_head      db "start             length            type", 13, 10, 0
two_spaces  db "  ", 0
type_names  dw n_ram, n_reserved, n_acpi, n_nvs, n_other
n_ram       db "RAM", 0
n_reserved  db "reserved", 0
n_acpi      db "ACPI tables", 0
n_nvs       db "ACPI NVS", 0
n_other     db "other", 0
d_equipment db "h equipment word (INT 11h)", 13, 10, 0
d_count     db " hard disk(s) by the BIOS data area", 13, 10, 10, 0
d_drive     db "h  cylinders/heads/sectors ", 0
d_sectors   db ", total sectors ", 0
d_floppy    db "00h  floppy drive", 13, 10, 0
d_boot      db 13, 10, "booted from drive ", 0
c_rtc       db " by the real-time clock", 13, 10, 10, "a second of timer interrupts, asleep in between: ", 0
c_ticks     db 13, 10, 0
k_help      db "Scan code, ASCII code and character of each key; Esc goes on.", 13, 10, 10, 0
g_text      db "320x200, 256 colours", 0
l_enter     db "PAE on, page tables made, EFER.LME set; paging on ...", 13, 10, 0
l_back      db "Back in real mode, the BIOS answers again.", 13, 10, 0
l_none      db "This processor has no long mode.", 13, 10, 0
in_64       db "Hello from 64-bit long mode: 64-bit sums are right.", 0
wrong_64    db "64-bit sums are WRONG.", 0
bye         db 13, 10, "Good bye: power off through APM.", 13, 10, 0
no_apm      db "APM did not turn the machine off.", 13, 10, 0

        align 4
edd     times 1Eh db 0
brand   times 16 db 0
saved_sp dw 0
xes     dw 0
cyl     dw 0
head    db 0
unit    db 0
