export default function MapView() {
  return <p className="quiet padded">Map: under way</p>;
}
