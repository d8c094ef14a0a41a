// pxcluster.c: the command line of clusters: reads it, and calls the command.

#include "cli.h"

#include "px/id.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cli_command {
    const char *name;
    int (*run)(const px_cli *cli);
    const char *arguments; // of the usage line
    const char *help;      // what it does, with examples
    const char *options;   // the options that it takes, by the letters below
} cli_command;

static const cli_command commands[] = {
    {"start", px_command_start,
     "[NAME] [-n N] [--attach PID] [--no-wait] [--timeout S] [--cwd DIR] [--preload MODULES]\n"
     "       [--restart] [--results none|memory|disk] [--set ID]\n"
     "       [--ip ADDRESS [--port N] [--location LIST] [--lease S]]\n"
     "       [--engines HOW [--ssh COMMAND] [--remote-engine PATH] [--tunnel]\n"
     "       [--mpi COMMAND] [--queue Q] [--account A] [--template FILE]]",
     "Starts a cluster in the background and waits until its engines are ready.\n"
     "\n"
     "  -n N               engines (default: as many as cores can be used here); with 0 there is "
     "only\n"
     "                     the controller, and `scale` or `join` bring engines\n"
     "  --set ID           what the set of these engines is called (default: default)\n"
     "  --attach PID       the cluster ends when process PID ends (default: it stays until "
     "stopped)\n"
     "  --no-wait          return as soon as the controller runs\n"
     "  --timeout S        wait at most S seconds (default: 60)\n"
     "  --cwd DIR          working directory of the engines (default: this one)\n"
     "  --preload MODULES  modules every engine has imported from the start, comma separated\n"
     "  --restart          start a new engine in place of one that dies, and let it run what was\n"
     "                     recorded with %%px --init\n"
     "  --results WHERE    where results outlive the client that asked for them: disk (they\n"
     "                     outlive the cluster, too), memory, or none (default: disk; with\n"
     "                     --attach memory)\n"
     "  --ip ADDRESS       let clients and engines of other hosts in, by this address of this "
     "host\n"
     "                     or by all of them (\"*\"); they need a copy of cluster.json\n"
     "  --port N           the port for them (default: a free one)\n"
     "  --location LIST    addresses by which they reach this host, comma separated (default: "
     "those\n"
     "                     of its network interfaces)\n"
     "  --lease S          how long one that is cut off may take to come back (default: 75)\n"
     "  --engines HOW      where engines run: local, or ssh:HOST=N,HOST=N (user@host:port for a "
     "host)\n"
     "                     mpi, slurm, pbs, sge, lsf, htcondor: by mpiexec or a batch system\n"
     "  --ssh COMMAND      how ssh is run, its options included\n"
     "  --remote-engine P  path of pxengine on the other hosts (default: the one on the PATH "
     "there)\n"
     "  --tunnel           engines come back through ssh, for hosts that cannot reach this one\n"
     "  --mpi COMMAND      how mpiexec is run, its options included\n"
     "  --queue Q, --account A  of the batch system\n"
     "  --template FILE    a job script of your own, with {name} {n} {queue} {account} {command}\n"
     "\n"
     "  pxcluster start -n 4\n"
     "  pxcluster start sweep -n 16 --preload numpy,scipy\n",
     "nawtcpriPLleSRxMQbFKG"},
    {"join", px_command_join, "[NAME | FILE | -] [-n N] [--preload MODULES] [--timeout S]",
     "Lends this machine to a cluster: N engines are started here, until the cluster or this "
     "command\n"
     "ends. FILE is a copy of its cluster.json (\"-\": it comes on stdin). Batch jobs run it.\n"
     "\n"
     "  -n N               engines (default: as many as cores can be used here)\n"
     "\n"
     "  pxcluster join ./cluster.json -n 8\n",
     "npt"},
    {"stop", px_command_stop, "[NAME | --all] [--engines 0,3 | --set ID] [--timeout S]",
     "Ends a cluster and waits until no process of it is left. Engines are asked to end, after a\n"
     "second sent SIGTERM, then SIGKILL.\n"
     "\n"
     "  --all              every cluster of this user\n"
     "  --engines LIST     only these engines; the cluster goes on without them\n"
     "  --set ID           only the engines of this set\n",
     "AteG"},
    {"list", px_command_list, "",
     "Lists this user's clusters. What dead ones have left behind is removed.\n", ""},
    {"status", px_command_status, "[NAME]", "Shows a cluster and each of its engines.\n", ""},
    {"scale", px_command_scale, "[NAME] -n N | --add N [--set ID] [--no-wait] [--timeout S]",
     "Changes the number of engines. More are started; of too many, idle ones go first, those "
     "with\n"
     "the highest ids. Dead engines are replaced under new ids.\n"
     "\n"
     "  --add N            N more than there are wanted now\n"
     "  --set ID           what the set of these is called; stop, restart and signal take it as "
     "one\n"
     "\n"
     "  pxcluster scale sweep -n 8\n",
     "nwtmG"},
    {"restart", px_command_restart, "[NAME] [--engines 0,3 | --set ID] [--no-wait] [--timeout S]",
     "Replaces engines by fresh ones, all or those named, dead or alive. New engines have new "
     "ids.\n",
     "ewtG"},
    {"interrupt", px_command_signal, "[NAME] [--engines 0,3 | --set ID]",
     "Interrupts what engines are running, like the stop button of a notebook.\n", "eG"},
    {"signal", px_command_signal, "[NAME] --signal SIGUSR1 [--engines 0,3 | --set ID]",
     "Sends a signal to engines; SIGINT interrupts what they run.\n", "esG"},
    {"logs", px_command_logs, "[NAME] [--engine K] [--tail N]",
     "Prints the log of the controller or of an engine. An engine's is what it wrote to its own\n"
     "stdout and stderr, outside of cells.\n"
     "\n"
     "  --tail N           the last N lines (default: 200)\n",
     "kT"},
    {"events", px_command_events, "[--until-stdin-closes]",
     "Prints what happens to clusters as it happens. One JSON object a line: first a snapshot of "
     "all,\n"
     "then every change. Ends when stdout is closed, with --until-stdin-closes (and when stdin is "
     "a pipe "
     "and\n"
     "--json is given) also when stdin is.\n",
     "u"},
    {"clean", px_command_clean, "", "Removes what clusters that died have left behind.\n", ""},
    {"launchers", px_command_launchers, "",
     "Lists the ways in which engines can be started here.\n", ""},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
    (void)printf(
        "usage: pxcluster COMMAND [NAME] [options]\n"
        "\n"
        "Runs clusters of Python engines on this machine. A cluster has a name, \"default\"\n"
        "unless you give one; notebooks and scripts find it by that name.\n"
        "\n"
        "  pxcluster start -n 4     start four engines\n"
        "  pxcluster list           what runs\n"
        "  pxcluster stop           end it\n"
        "\n"
        "commands:\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        (void)printf("  %-10s %.*s\n", commands[i].name, (int)strcspn(commands[i].help, ".:\n"),
                     commands[i].help);
    }
    (void)printf(
        "\n"
        "Every command takes --json, and --help for its own options.\n"
        "\n"
        "exit status: 0 done, 1 other failure, 2 wrong usage, 3 no such cluster, 4 exists\n"
        "already, 5 a program is missing, 6 failed to start, 7 took too long\n"
        "environment: PX_RUNTIME_DIR (folder of the clusters; default /tmp/pxkernel-<uid>)\n");
}

static void print_command_help(const cli_command *command)
{
    (void)printf("usage: pxcluster %s %s%s[--json]\n\n%s", command->name, command->arguments,
                 command->arguments[0] != '\0' ? " " : "", command->help);
}

static const cli_command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

// --- options -------------------------------------------------------------------------------------

static const struct option options[] = {{"n", required_argument, NULL, 'n'},
                                        {"engines-count", required_argument, NULL, 'n'},
                                        {"attach", required_argument, NULL, 'a'},
                                        {"no-wait", no_argument, NULL, 'w'},
                                        {"timeout", required_argument, NULL, 't'},
                                        {"cwd", required_argument, NULL, 'c'},
                                        {"preload", required_argument, NULL, 'p'},
                                        {"restart", no_argument, NULL, 'r'},
                                        {"results", required_argument, NULL, 'K'},
                                        {"all", no_argument, NULL, 'A'},
                                        {"add", required_argument, NULL, 'm'},
                                        {"set", required_argument, NULL, 'G'},
                                        {"engines", required_argument, NULL, 'e'},
                                        {"engine", required_argument, NULL, 'k'},
                                        {"tail", required_argument, NULL, 'T'},
                                        {"signal", required_argument, NULL, 's'},
                                        {"until-stdin-closes", no_argument, NULL, 'u'},
                                        {"mpi", required_argument, NULL, 'M'},
                                        {"queue", required_argument, NULL, 'Q'},
                                        {"account", required_argument, NULL, 'b'},
                                        {"template", required_argument, NULL, 'F'},
                                        {"ssh", required_argument, NULL, 'S'},
                                        {"remote-engine", required_argument, NULL, 'R'},
                                        {"tunnel", no_argument, NULL, 'x'},
                                        {"ip", required_argument, NULL, 'i'},
                                        {"port", required_argument, NULL, 'P'},
                                        {"location", required_argument, NULL, 'L'},
                                        {"lease", required_argument, NULL, 'l'},
                                        {"json", no_argument, NULL, 'j'},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {NULL, 0, NULL, 0}};

static int usage_error(const px_cli *cli, const char *message)
{
    char fix[64];
    (void)snprintf(fix, sizeof(fix), "`pxcluster%s%s --help` shows how it is used",
                   cli->command != NULL ? " " : "", cli->command != NULL ? cli->command : "");
    return px_cli_fail(
        cli,
        &(px_problem){.exit_code = PX_EXIT_USAGE, .code = "usage", .message = message, .fix = fix});
}

static bool number(const px_cli *cli, const char *option, long long low, long long high,
                   long long *ret_number)
{
    char message[160];
    if (px_parse_number(optarg, low, high, ret_number) == PX_OK) {
        return true;
    }
    (void)snprintf(message, sizeof(message), "%s needs a number from %lld to %lld, not \"%.40s\"",
                   option, low, high, optarg);
    (void)usage_error(cli, message);
    return false;
}

// hand_on keeps an option for the controller, which knows what is right.
static bool hand_on(px_cli *cli, char *option)
{
    if (cli->n_for_controller + 2 > sizeof(cli->for_controller) / sizeof(char *)) {
        (void)usage_error(cli, "the same options are given again and again");
        return false;
    }
    cli->for_controller[cli->n_for_controller++] = option;
    if (optarg != NULL) {
        cli->for_controller[cli->n_for_controller++] = optarg;
    }
    return true;
}

// read_option takes one option; false when it is wrong (said already).
static bool read_option(px_cli *cli, int option)
{
    long long seconds = 0;
    switch (option) {
    case 'n':
        return number(cli, "-n", strcmp(cli->command, "join") == 0 ? 1 : 0, 4096, &cli->n);
    case 'm':
        return number(cli, "--add", 1, 4096, &cli->add);
    case 'G':
        cli->set = optarg;
        return strcmp(cli->command, "start") != 0 || hand_on(cli, "--set");
    case 'a':
        return number(cli, "--attach", 1, INT32_MAX, &cli->attach);
    case 't':
        if (!number(cli, "--timeout", 1, 86400, &seconds)) {
            return false;
        }
        cli->timeout_ms = seconds * 1000;
        return true;
    case 'k':
        return number(cli, "--engine", 0, UINT32_MAX, &cli->engine);
    case 'T':
        return number(cli, "--tail", 1, 1000000, &cli->tail);
    case 'w':
        cli->no_wait = true;
        return true;
    case 'A':
        cli->all = true;
        return true;
    case 'u':
        cli->until_stdin_closes = true;
        return true;
    case 'i':
        return hand_on(cli, "--ip");
    case 'P':
        return number(cli, "--port", 1, UINT16_MAX, &seconds) && hand_on(cli, "--port");
    case 'L':
        return hand_on(cli, "--location");
    case 'l':
        return number(cli, "--lease", 2, 86400, &seconds) && hand_on(cli, "--lease");
    case 'c':
        cli->cwd = optarg;
        return true;
    case 'p':
        cli->preload = optarg;
        return true;
    case 'r':
        cli->restart = true;
        return true;
    case 'K':
        return hand_on(cli, "--results");
    case 'e':
        cli->engines = optarg;
        return strcmp(cli->command, "start") != 0 || hand_on(cli, "--engines");
    case 'S':
        return hand_on(cli, "--ssh");
    case 'R':
        return hand_on(cli, "--remote-engine");
    case 'M':
        return hand_on(cli, "--mpi");
    case 'Q':
        return hand_on(cli, "--queue");
    case 'b':
        return hand_on(cli, "--account");
    case 'F':
        return hand_on(cli, "--template");
    case 'x':
        optarg = NULL;
        return hand_on(cli, "--tunnel");
    case 's':
        cli->signal = optarg;
        return true;
    default:
        return false;
    }
}

// read_all reads everything after the command. Gives -1 to go on, or the exit code.
static int read_all(px_cli *cli, const cli_command *command, int argc, char **argv)
{
    char message[160];
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
        if (option == 'h') {
            print_command_help(command);
            return PX_EXIT_OK;
        }
        if (option == 'j') {
            cli->json = true;
            continue;
        }
        if (option == '?' || strchr(command->options, option) == NULL) {
            (void)snprintf(message, sizeof(message), "%s does not take \"%.60s\"", command->name,
                           argv[optind - 1]);
            return usage_error(cli, message);
        }
        if (!read_option(cli, option)) {
            return PX_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        cli->name = argv[optind++];
        cli->name_given = true;
    }
    if (optind < argc) {
        (void)snprintf(message, sizeof(message), "\"%.60s\" is one word too many", argv[optind]);
        return usage_error(cli, message);
    }
    return -1;
}

int main(int argc, char **argv)
{
    px_cli cli = {
        .name = PX_CLUSTER_DEFAULT, .n = -1, .engine = -1, .tail = 200, .timeout_ms = 60000};
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) { // so that complaints about the rest are in the right form
        cli.json |= strcmp(argv[i], "--json") == 0;
    }
    int first = 1;
    while (first < argc && strcmp(argv[first], "--json") == 0) {
        first++;
    }
    const char *word = first < argc ? argv[first] : "--help";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help();
        return argc > 1 ? PX_EXIT_OK : PX_EXIT_USAGE;
    }
    if (strcmp(word, "--version") == 0) {
        (void)printf("pxcluster %s\n", PX_VERSION);
        return PX_EXIT_OK;
    }
    const cli_command *command = find_command(word);
    if (command == NULL) {
        char message[128];
        (void)snprintf(message, sizeof(message), "there is no command \"%.60s\"", word);
        return usage_error(&cli, message);
    }
    cli.command = command->name;
    int code = read_all(&cli, command, argc - first, argv + first);
    return code >= 0 ? code : command->run(&cli);
}
