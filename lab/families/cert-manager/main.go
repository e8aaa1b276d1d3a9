// Cert-manager as one program: the controller, the webhook and the CA injector of upstream's library,
// put together here because upstream's own programs are modules that the Go proxy does not have.
//
// Issuers: SelfSigned, CA and Vault (OpenBao). ACME and Venafi are left out, and with them the
// clients of a dozen clouds. One replica of each part, so there is no leader election.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	logs.FlushLogs()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	logging := logsapi.NewLoggingConfiguration()
	root := &cobra.Command{
		Use:           "cert-manager",
		Short:         "Certificates as Kubernetes resources",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			logs.InitLogs()
			if err := logs.ValidateAndApply(logging); err != nil {
				return err
			}
			log := logs.FromContext(cmd.Context(), cmd.Name())
			ctrl.SetLogger(log)
			cmd.SetContext(logs.NewContext(cmd.Context(), log))
			return nil
		},
	}
	root.PersistentFlags().AddFlagSet(loggingFlags(logging))
	root.AddCommand(controllerCommand(), webhookCommand(), cainjectorCommand())
	return root
}

// loggingFlags returns the flags that say how to log; parsing them changes the configuration.
func loggingFlags(configuration *logsapi.LoggingConfiguration) *pflag.FlagSet {
	flags := pflag.NewFlagSet("logging", pflag.ContinueOnError)
	logs.AddFlagsNonDeprecated(configuration, flags)
	return flags
}
