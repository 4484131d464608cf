export default function FlowsView() {
  return <p className="quiet padded">Flows: under way</p>;
}
