# frozen_string_literal: true

require "yaml"

# contrib/kubernetes.yaml, as far as it can be checked without a cluster.
RSpec.describe "Kubernetes manifest:" do
  manifest = YAML.load_stream(File.read(File.expand_path("../../contrib/kubernetes.yaml", __dir__)))
  config, deployment, service = manifest.map(&:itself)
  pod = deployment.dig("spec", "template")
  container = pod.dig("spec", "containers", 0)

  it "the service selects the pods and one of their ports" do
    expect(manifest.map { |part| part["kind"] }).to eq %w[ConfigMap Deployment Service]
    labels = pod.dig("metadata", "labels")
    expect([deployment.dig("spec", "selector", "matchLabels"), service.dig("spec", "selector")]).to eq [labels, labels]
    expect(container["ports"].map { |port| port["name"] }).to include(service.dig("spec", "ports", 0, "targetPort"))
  end

  it "the probes use ports that the config listens on" do
    text = config.dig("data", "config.rb")
    ports = container["ports"].to_h { |port| port.values_at("name", "containerPort") }
    expect(ports.values.reject { |port| text.include?(":#{port}\"") }).to be_empty
    probes = container.values_at("livenessProbe", "readinessProbe").map { |probe| probe["httpGet"] }
    expect(probes.map { |probe| probe.values_at("path", "port") }).to eq [%w[/healthz admin], %w[/readyz admin]]
  end

  it "the config is valid" do
    checked = ProxyProcess.new(config.dig("data", "config.rb"), args: ["-t"])
    expect(checked.wait).to be_success, checked.stderr
  end
end
