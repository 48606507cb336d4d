/* The kernels' code for all devices, as data of this program: IMAGE is the file that nvcc made. */
    .section .rodata
    .balign 64
    .global kernels_image
    .hidden kernels_image
    .type kernels_image, @object
kernels_image:
    .incbin IMAGE
    .size kernels_image, . - kernels_image
    .section .note.GNU-stack, "", @progbits
