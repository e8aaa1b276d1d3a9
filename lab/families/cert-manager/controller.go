package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	// Controllers and issuers register themselves.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
)

// Workers of each controller; upstream's default.
const workers = 5

func controllerCommand() *cobra.Command {
	options := controller.ContextOptions{
		KubernetesAPIQPS:   50,
		KubernetesAPIBurst: 100,
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes: []string{"*", "-kubectl.kubernetes.io/"},
		},
	}
	var health, metrics string
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Issue and renew certificates",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runController(cmd.Context(), options, health, metrics)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "how to reach the API server; the pod's own account if empty")
	flags.StringVar(&options.Namespace, "namespace", "", "work in this namespace only")
	flags.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "cert-manager",
		"where the Secrets of ClusterIssuers are")
	flags.BoolVar(&options.EnableOwnerRef, "enable-certificate-owner-ref", false,
		"delete the Secret together with its Certificate")
	// Upstream waits an hour after a failure; a test cannot.
	flags.DurationVar(&options.CertificateRequestMinimumBackoffDuration,
		"certificate-request-minimum-backoff-duration", 5*time.Second, "first wait after a failed request")
	flags.DurationVar(&options.CertificateRequestMaximumBackoffDuration,
		"certificate-request-maximum-backoff-duration", time.Minute, "longest wait after failed requests")
	flags.StringVar(&health, "healthz-listen-address", ":9403", "/livez and /readyz")
	flags.StringVar(&metrics, "metrics-listen-address", ":9402", "/metrics")
	return cmd
}

func runController(ctx context.Context, options controller.ContextOptions, health, metrics string) error {
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	root, err := factory.Build()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, construct := range controller.Known() {
		one, err := construct(factory)
		if err != nil {
			return err
		}
		group.Go(func() error { return one.Run(workers, ctx) })
	}
	listener, err := net.Listen("tcp", metrics)
	if err != nil {
		return err
	}
	serve(ctx, group, listener, root.Metrics.NewServer(listener))
	listener, err = net.Listen("tcp", health)
	if err != nil {
		return err
	}
	serve(ctx, group, listener, &http.Server{Handler: healthy(), ReadHeaderTimeout: 10 * time.Second})

	root.SharedInformerFactory.Start(ctx.Done())
	root.KubeSharedInformerFactory.Start(ctx.Done())
	return group.Wait()
}

// healthy answers 200: the process ends when a controller does, so being there is being well.
func healthy() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/livez", "/readyz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
		})
	}
	return mux
}

// serve adds a server to the group; it ends with ctx.
func serve(ctx context.Context, group *errgroup.Group, listener net.Listener, server *http.Server) {
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}
