/* Standard output as all commands print to it, with what stdio alone lacks: a descriptor that
 * another program has set not to block makes us wait, instead of losing the rest, and why a write
 * failed is still known when the stream is closed.
 *
 *     int failure = 0;
 *     standard_output_open(&failure);     before anything is printed
 *     printf(...); ... fclose(stdout);    as ever; then failure is an errno value, or 0
 *
 * The flags of the descriptor stay as they are: it may be shared. */
#ifndef STANDARD_OUTPUT_H
#define STANDARD_OUTPUT_H

/* `failure` has to live as long as stdout. Without memory stdio's own stream stays. */
void standard_output_open(int *failure);

#endif
