/* Kernels for all devices, as data of the program: IMAGE is the file that nvcc made, NAME how C calls it. */
    .section .rodata
    .balign 64
    .global NAME
    .hidden NAME
    .type NAME, @object
NAME:
    .incbin IMAGE
    .size NAME, . - NAME
    .section .note.GNU-stack, "", @progbits
