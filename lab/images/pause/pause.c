/* First process of a pod: reaps what others leave behind, ends when it is told to. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void) {
  sigset_t told;
  int signal;

  sigemptyset(&told);
  sigaddset(&told, SIGCHLD);
  sigaddset(&told, SIGINT);
  sigaddset(&told, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &told, NULL) != 0) return 1;
  while (sigwait(&told, &signal) == 0) {
    if (signal != SIGCHLD) return 0;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
  return 1;
}
