// Package crds names the release of Gateway API whose custom resource definitions the lab installs;
// the import keeps the module and its checksum in go.mod and go.sum.
package crds

import _ "sigs.k8s.io/gateway-api/pkg/consts"
