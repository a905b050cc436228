// A kubelet that only forwards ports, with the streaming code of the real one: what the API server proxies to
// /portForward/NAMESPACE/POD is copied to a port of the pod's address.
//
//	kubelet LISTEN FOLDER SERVER FROM TO
//
// FOLDER holds server.crt, server.key, admin.crt, admin.key and ca.crt. Pods' addresses that begin with FROM are reached
// where TO stands in its place: as on a real node, they need not lead anywhere from elsewhere.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

type forwarder struct {
	client           *http.Client
	server, from, to string
}

// The address that the API server knows of namespace/pod.
func (f *forwarder) address(ctx context.Context, pod string) (string, error) {
	namespace, name, _ := strings.Cut(pod, "/")
	url := fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s", f.server, namespace, name)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var found struct{ Status struct{ PodIP string } }
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(found.Status.PodIP, f.from); ok {
		return f.to + rest, nil
	}
	return "", fmt.Errorf("pod %s has the address %q", pod, found.Status.PodIP)
}

// PortForward copies in both directions until either side ends, as container runtimes do.
func (f *forwarder) PortForward(ctx context.Context, pod, _ string, port int32, stream io.ReadWriteCloser) error {
	address, err := f.address(ctx, pod)
	if err != nil {
		return err
	}
	far, err := net.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer far.Close()
	log.Printf("forwarding %s:%d", pod, port)
	done := make(chan struct{}, 2)
	for _, ends := range [][2]io.ReadWriter{{far, stream}, {stream, far}} {
		go func() {
			_, _ = io.Copy(ends[0], ends[1])
			done <- struct{}{}
		}()
	}
	<-done
	return nil
}

func (f *forwarder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	if len(parts) < 3 || parts[0] != "portForward" {
		http.NotFound(w, request)
		return
	}
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	protocols := []string{portforward.ProtocolV1Name}
	portforward.ServePortForward(w, request, f, parts[1]+"/"+parts[2], "", options, 4*time.Hour, 30*time.Second, protocols)
}

func main() {
	listen, folder := os.Args[1], os.Args[2]
	path := func(name string) string { return filepath.Join(folder, name) }
	admin, err := tls.LoadX509KeyPair(path("admin.crt"), path("admin.key"))
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile(path("ca.crt"))
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{admin}, RootCAs: roots}}
	handler := &forwarder{&http.Client{Transport: transport, Timeout: 10 * time.Second}, os.Args[3], os.Args[4], os.Args[5]}
	// An upgrade needs HTTP/1.1.
	server := &http.Server{Addr: listen, Handler: handler, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	log.Fatal(server.ListenAndServeTLS(path("server.crt"), path("server.key")))
}
