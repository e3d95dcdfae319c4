"""Makes reports on recordings: charts in one HTML file or as pictures, and a summary in sentences."""
