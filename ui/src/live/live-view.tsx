export default function LiveView() {
  return <p className="quiet padded">Live: under way</p>;
}
