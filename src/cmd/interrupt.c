/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught, told;

static void on_signal(int number) {
    caught = number;
    if (told > 0) kill((pid_t)told, number);
}

void lt_interrupt_pass_to(pid_t child) {
    told = child;
    if (child > 0 && caught != 0) kill(child, caught);
}

void lt_interrupt_catch(void) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
}

bool lt_interrupted(void) {
    return caught != 0;
}

int lt_interrupt_exit(void) {
    return 128 + (int)caught;
}
