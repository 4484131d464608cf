/** Policies to begin with: complete texts, as one would write them by hand. */
import type { Kind } from "./objects";

export interface Template {
  title: string;
  about: string;
  file: string;
  text: string;
}

/** An empty canvas: the kind's frame, a subject to fill in and nothing allowed or denied yet. */
export function emptyPolicy(kind: Kind, name: string, namespace: string): string {
  const where =
    kind === "CiliumClusterwideNetworkPolicy" || namespace === "" ? "" : `  namespace: ${namespace}\n`;
  if (kind === "NetworkPolicy") {
    return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${name}
${where}spec:
  podSelector: {}
`;
  }
  return `apiVersion: cilium.io/v2
kind: ${kind}
metadata:
  name: ${name}
${where}spec:
  endpointSelector: {}
`;
}

export const TEMPLATES: readonly Template[] = [
  {
    title: "Allow one name",
    about: "the backend may ask kube-dns and reach kubernetes.io, and nothing else",
    file: "backend-egress-allow-fqdn.yaml",
    text: `---
kind: CiliumNetworkPolicy
apiVersion: cilium.io/v2
metadata:
  name: backend-egress-allow-fqdn
spec:
  endpointSelector:
    matchLabels:
      app: backend
  egress:
    - toEndpoints:
        - matchLabels:
            "k8s:io.kubernetes.pod.namespace": kube-system
            "k8s:k8s-app": kube-dns
      toPorts:
        - ports:
            - port: "53"
              protocol: ANY
          rules:
            dns:
              - matchPattern: "*"
    - toFQDNs:
        - matchName: kubernetes.io
`,
  },
  {
    title: "Default deny",
    about: "every pod of the namespace: nothing in, nothing out",
    file: "default-deny.yaml",
    text: `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: default-deny
spec:
  endpointSelector: {}
  ingress:
    - {}
  egress:
    - {}
`,
  },
  {
    title: "DNS for all",
    about: "every pod of the namespace may ask kube-dns any name; nothing else is changed",
    file: "allow-dns.yaml",
    text: `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: allow-dns
spec:
  endpointSelector: {}
  enableDefaultDeny:
    egress: false
  egress:
    - toEndpoints:
        - matchLabels:
            k8s:io.kubernetes.pod.namespace: kube-system
            k8s:k8s-app: kube-dns
      toPorts:
        - ports:
            - port: "53"
              protocol: ANY
          rules:
            dns:
              - matchPattern: "*"
`,
  },
  {
    title: "Frontend to backend",
    about: "only pods labelled app=frontend reach the backend, on port 8080",
    file: "frontend-to-backend.yaml",
    text: `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: frontend-to-backend
spec:
  endpointSelector:
    matchLabels:
      app: backend
  ingress:
    - fromEndpoints:
        - matchLabels:
            app: frontend
      toPorts:
        - ports:
            - port: "8080"
              protocol: TCP
`,
  },
  {
    title: "Default deny (Kubernetes)",
    about: "the same as a NetworkPolicy, for any network plugin",
    file: "default-deny-kubernetes.yaml",
    text: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
spec:
  podSelector: {}
  policyTypes:
    - Ingress
    - Egress
`,
  },
];
