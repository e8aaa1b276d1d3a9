package main

import (
	"github.com/cert-manager/cert-manager/pkg/api"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	"github.com/cert-manager/cert-manager/pkg/util"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubernetes "k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func cainjectorCommand() *cobra.Command {
	var health, metrics string
	cmd := &cobra.Command{
		Use:   "cainjector",
		Short: "Write CA certificates into webhooks, API services and CRDs that ask for them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := ctrl.GetConfig()
			if err != nil {
				return err
			}
			known, err := kinds()
			if err != nil {
				return err
			}
			// The injectors own the fields they write by the name that the user agent begins with.
			manager, err := ctrl.NewManager(util.RestConfigWithUserAgent(config, "cainjector"), ctrl.Options{
				Scheme:                 known,
				HealthProbeBindAddress: health,
				Metrics:                server.Options{BindAddress: metrics},
				// Only metadata of Secrets is watched; their content is read when it is needed.
				Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
			})
			if err != nil {
				return err
			}
			if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
				return err
			}
			if err := cainjector.RegisterAllInjectors(cmd.Context(), manager, cainjector.SetupOptions{
				EnableCertificatesDataSource: true,
				EnabledReconcilersFor: map[string]bool{
					cainjector.MutatingWebhookConfigurationName:   true,
					cainjector.ValidatingWebhookConfigurationName: true,
					cainjector.APIServiceName:                     true,
					cainjector.CustomResourceDefinitionName:       true,
				},
			}); err != nil {
				return err
			}
			return manager.Start(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&health, "health-listen-address", "0", "/healthz; 0 for none")
	cmd.Flags().StringVar(&metrics, "metrics-listen-address", ":9402", "/metrics; 0 for none")
	return cmd
}

// kinds returns what the injectors read and write: Secrets, Certificates, and what asks for a CA.
func kinds() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		kubernetes.AddToScheme, api.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	return known, nil
}
