{{/*
Certificates that nobody gave are made here, once: what the cluster holds already is taken again, so an upgrade keeps it. A
certificate is made anew when its names change and, by an upgrade, in the second half of its life; its authority stays.
Everything is put into .Values.made, since each template of one release must see the same.
*/}}
{{- define "innkeeper.certificates" -}}
{{- if not (hasKey .Values "made") -}}
{{- $_ := set .Values "made" (dict "secrets" list) -}}
{{- $service := printf "%s.svc" .Release.Namespace -}}
{{- $query := dict "tls" .Values.query.tls "cn" "innkeeper-query" "names" (list (printf "innkeeper-query.%s" $service)) -}}
{{- $names := list "innkeeper-images" (printf "innkeeper-images.%s" .Release.Namespace) (printf "innkeeper-images.%s" $service) (printf "innkeeper-images.%s.cluster.local" $service) -}}
{{- $images := dict "tls" .Values.images.tls "cn" "innkeeper-images" "names" (concat $names .Values.images.tls.dnsNames) "addresses" .Values.images.tls.ipAddresses -}}
{{- $hosts := dict "tls" .Values.operator.hosts.tls "cn" "innkeeper-operator" "names" (list "innkeeper-operator") -}}
{{- if .Values.query.enabled -}}
{{- include "innkeeper.certificate" (dict "root" . "name" "query" "authority" "innkeeper-ca" "of" $query) -}}
{{- end -}}
{{- if or .Values.images.enabled (ne .Values.images.tls.source "Generated") -}}
{{- include "innkeeper.certificate" (dict "root" . "name" "images" "authority" "innkeeper-ca" "of" $images) -}}
{{- else -}}
{{- /* An image server elsewhere: nothing is made for it, and its authority is what it was said to be. */ -}}
{{- $_ := set .Values.made "imagesAuthority" .Values.images.tls.caBundle -}}
{{- end -}}
{{- include "innkeeper.certificate" (dict "root" . "name" "hosts" "authority" "innkeeper-hosts-ca" "of" $hosts) -}}
{{- end -}}
{{- end }}

{{/* One certificate; .Values.made gets its Secret, NAMEAuthority (base64) and NAMEChecksum. */}}
{{- define "innkeeper.certificate" -}}
{{- $root := .root -}}
{{- $made := $root.Values.made -}}
{{- $tls := .of.tls -}}
{{- $value := printf "%s.tls" (ternary "operator.hosts" .name (eq .name "hosts")) -}}
{{- if and $tls.issuerRef (ne $tls.source "CertManager") -}}
{{- fail (printf "%s.issuerRef is for the source CertManager, and the source is %s" $value $tls.source) -}}
{{- end -}}
{{- /* Who reaches images at a URL that somebody else answers meets that one's certificate. */ -}}
{{- $elsewhere := and (eq .name "images") (hasPrefix "https:" $root.Values.images.publicUrl) -}}
{{- /* Of the query API's authority cert-manager tells the API server itself. */ -}}
{{- $known := or (has $tls.source (list "Generated" "None")) (and (eq .name "query") (eq $tls.source "CertManager")) -}}
{{- if and $tls.caBundle $known (not $elsewhere) -}}
{{- fail (printf "%s.caBundle is of no use: the source is %s" $value $tls.source) -}}
{{- end -}}
{{- $usual := printf "innkeeper-%s-tls" (ternary "operator-hosts" .name (eq .name "hosts")) -}}
{{- if and (ne $tls.secretName $usual) (has $tls.source (list "Volume" "None")) -}}
{{- fail (printf "%s.secretName is of no use: the source is %s" $value $tls.source) -}}
{{- end -}}
{{- $held := dict -}}
{{- if not (has $tls.source (list "Volume" "None")) -}}
{{- $held = lookup "v1" "Secret" $root.Release.Namespace $tls.secretName | default dict -}}
{{- end -}}
{{- $data := $held.data | default dict -}}
{{- $authority := $tls.caBundle | default (index $data "ca.crt") | default "" -}}
{{- if eq $tls.source "Generated" -}}
{{- $names := .of.names | uniq -}}
{{- $addresses := .of.addresses | default list -}}
{{- $signer := include "innkeeper.authority" (dict "root" $root "name" .authority) | fromYaml -}}
{{- $for := printf "%s %s %s" .of.cn (join "," $names) (join "," $addresses) | sha256sum | trunc 16 -}}
{{- $notes := (($held.metadata).annotations) | default dict -}}
{{- $young := lt (now | unixEpoch | int64) (index $notes "innkeeper.dev/renew-after" | default "0" | int64) -}}
{{- $same := and $young (eq (index $notes "innkeeper.dev/made-for" | default "") $for) (eq (index $data "ca.crt" | default "") $signer.certificate) -}}
{{- if not $same -}}
{{- $pair := genSignedCertWithKey .of.cn $addresses $names (int $root.Values.certificates.days) (buildCustomCert $signer.certificate $signer.key) (genPrivateKey "ecdsa") -}}
{{- $data = dict "tls.crt" (b64enc $pair.Cert) "tls.key" (b64enc $pair.Key) "ca.crt" $signer.certificate -}}
{{- $after := add (now | unixEpoch | int64) (mul (int64 $root.Values.certificates.days) 43200) -}}
{{- $notes = dict "innkeeper.dev/made-for" $for "innkeeper.dev/renew-after" (toString $after) -}}
{{- end -}}
{{- $kept := pick $notes "innkeeper.dev/made-for" "innkeeper.dev/renew-after" -}}
{{- $secret := dict "name" $tls.secretName "type" "kubernetes.io/tls" "data" (pick $data "tls.crt" "tls.key" "ca.crt") "annotations" $kept -}}
{{- $_ := set $made "secrets" (append $made.secrets $secret) -}}
{{- $authority = $tls.caBundle | default $signer.certificate -}}
{{- end -}}
{{- if and (eq $tls.source "Existing") (eq .name "query") (not $authority) -}}
{{- fail (printf "query.tls.caBundle is missing, and the Secret %s has no ca.crt: the API server needs the authority of the query API" $tls.secretName) -}}
{{- end -}}
{{- $_ := set $made (printf "%sAuthority" .name) $authority -}}
{{- $_ := set $made (printf "%sChecksum" .name) (index $data "tls.crt" | default "" | sha256sum) -}}
{{- end }}

{{/* An authority: the one that the cluster holds, else a new one, kept for ever. `certificate` and `key` in base64. */}}
{{- define "innkeeper.authority" -}}
{{- $made := .root.Values.made -}}
{{- if not (hasKey $made .name) -}}
{{- $held := (lookup "v1" "Secret" .root.Release.Namespace .name).data | default dict -}}
{{- $data := pick $held "ca.crt" "ca.key" -}}
{{- if ne (len $data) 2 -}}
{{- $new := genCAWithKey .name 7300 (genPrivateKey "ecdsa") -}}
{{- $data = dict "ca.crt" (b64enc $new.Cert) "ca.key" (b64enc $new.Key) -}}
{{- end -}}
{{- $_ := set $made .name $data -}}
{{- $secret := dict "name" .name "type" "Opaque" "data" $data "annotations" (dict "helm.sh/resource-policy" "keep") -}}
{{- $_ := set $made "secrets" (append $made.secrets $secret) -}}
{{- end -}}
{{- $data := index $made .name -}}
{{- dict "certificate" (index $data "ca.crt") "key" (index $data "ca.key") | toYaml -}}
{{- end }}
