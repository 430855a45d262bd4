{{- /* The template of a pod: `root`, its `component`, its `resources`, and whether its state is `persistent`. */}}
{{- define "tero.pod" -}}
metadata:
  labels:
    {{- include "tero.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  annotations:
    checksum/config: {{ include "tero.config" .root | sha256sum }}
    {{- with .root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ add .root.Values.stop.delaySeconds .root.Values.stop.drainSeconds 10 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: tero
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: ["serve", "--config", "/etc/tero/tero.toml"]
      ports:
        - name: http
          containerPort: 8080
        - name: admin
          containerPort: 9090
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: ["ALL"]
      # Policies are compiled first, when a pod starts with an empty cache.
      startupProbe:
        httpGet:
          path: /health
          port: admin
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet:
          path: /health
          port: admin
        periodSeconds: 10
        failureThreshold: 6
      # The warm gate: 503 until the plans of `readyAfter` have run, and while the edge drains.
      readinessProbe:
        httpGet:
          path: /ready
          port: admin
        periodSeconds: 2
        failureThreshold: 1
      lifecycle:
        preStop:
          sleep:
            seconds: {{ .root.Values.stop.delaySeconds }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/tero
          readOnly: true
        - name: token
          mountPath: /run/secrets/tero
          readOnly: true
        - name: state
          mountPath: /var/lib/tero
        - name: compiled
          mountPath: /var/cache/tero
        {{- if .root.Values.fleet.existingSecret }}
        - name: nats
          mountPath: /run/secrets/nats
          readOnly: true
        {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  affinity:
    {{- with .root.Values.affinity }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "tero.selector" $.root | nindent 16 }}
                app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "tero.name" .root }}
    - name: token
      secret:
        secretName: {{ include "tero.secret" .root }}
        defaultMode: 0440
    - name: compiled
      emptyDir: {}
    {{- with .root.Values.fleet.existingSecret }}
    - name: nats
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- if not .persistent }}
    - name: state
      emptyDir: {}
    {{- end }}
{{- end }}

{{- define "tero.claims" -}}
- metadata:
    name: state
  spec:
    accessModes: ["ReadWriteOnce"]
    {{- with .Values.persistence.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .Values.persistence.size }}
{{- end }}
