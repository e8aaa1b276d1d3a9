package main

import (
	"github.com/cert-manager/cert-manager/internal/webhook"
	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
)

func webhookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Validate resources, record who asked for a certificate",
		Args:  cobra.NoArgs,
	}
	configuration, err := options.NewWebhookConfiguration()
	if err != nil {
		panic(err) // upstream's defaults do not fit together: a mistake of the build
	}
	own := pflag.NewFlagSet("webhook", pflag.ExitOnError)
	options.AddConfigFlags(own, configuration)
	logging := loggingFlags(logsapi.NewLoggingConfiguration())
	own.VisitAll(func(flag *pflag.Flag) {
		if logging.Lookup(flag.Name) == nil { // the root command has those
			cmd.Flags().AddFlag(flag)
		}
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log := logs.FromContext(cmd.Context())
		server, err := webhook.NewCertManagerWebhookServer(log, *configuration)
		if err != nil {
			return err
		}
		return server.Run(cmd.Context())
	}
	return cmd
}
