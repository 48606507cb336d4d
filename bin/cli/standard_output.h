/* The standard output of all commands. It adds two things to stdio: if another program has made the
 * descriptor non-blocking, writes wait instead of losing data; and the reason why a write failed is
 * still known when the stream is closed.
 *
 *     int failure = 0;
 *     standard_output_open(&failure);     before anything is printed
 *     printf(...); ... fclose(stdout);    as usual; then failure is an errno value, or 0
 *
 * The flags of the descriptor are not changed, because other processes may share it. */
#ifndef STANDARD_OUTPUT_H
#define STANDARD_OUTPUT_H

/* `failure` must live as long as stdout. Without memory, stdout remains the stream of stdio. */
void standard_output_open(int *failure);

#endif
